"""Wire documents of consent: whether works may be used, from which time, and by which source."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from byline.api.documents import Body, Document
from byline.api.holds import IndexName, OwnerName, WorkId

ConsentStatus = Literal["allowed", "prohibited", "expired"]
"""`prohibited`: an opt-out or a takedown. `expired`: a license that has ended. Works without a status are allowed."""
VersionName = Annotated[str, Field(min_length=1, max_length=64)]
Source = Annotated[str, Field(min_length=1, max_length=500)]


class ConsentRow(Body):
    """The consent for an owner's works of an index, or for one work."""

    owner: OwnerName
    """Owner of the works."""
    index: IndexName
    """Index of the works."""
    work: WorkId | None = None
    """Id of one work. Null means all works of the owner."""
    version: VersionName | None = None
    """Version of the index. Null means every version."""
    status: ConsentStatus
    """`allowed`, `prohibited` or `expired`."""
    since: Annotated[AwareDatetime, Field(strict=False)]
    """Time from which the status holds. `allowed` holds from the time of its record at the earliest."""
    source: Source
    """Source of the status, such as a letter, a contract or a file on the owner's site."""


class ConsentsBody(Body):
    """Consents to record, all of them or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "consents": [
                        {
                            "owner": "ash",
                            "index": "songs",
                            "work": "song-17",
                            "status": "prohibited",
                            "since": "2026-03-01T00:00:00Z",
                            "source": "letter of 2026-02-27",
                        }
                    ]
                }
            ]
        }
    )

    consents: Annotated[list[ConsentRow], Field(min_length=1, max_length=1_000)]
    """Consents."""


class ConsentDocument(Document):
    """A recorded consent."""

    owner: str
    """Owner of the works."""
    index: str
    """Index of the works."""
    work: str | None
    """Id of one work. Null means all works of the owner."""
    version: str | None
    """Version of the index. Null means every version."""
    status: ConsentStatus
    """`allowed`, `prohibited` or `expired`."""
    since: str
    """Time from which the status holds, in UTC."""
    source: str
    """Source of the status."""
    person: str
    """Person who recorded the consent."""
    at: str
    """Time of the record in UTC."""


class ConsentsRecorded(Document):
    """The result of a record of consents."""

    recorded: int
    """Number of consents."""
    at: str
    """Time of the record in UTC."""
