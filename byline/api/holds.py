"""Wire documents of holds and disputes: subjects whose amounts are held back until they are released."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from byline.api.documents import Body, Document, StoredDocument
from byline.names.owner_labels import owner_label


def _spelled(owner: str) -> str:
    label = owner_label(owner)
    if label is None:
        raise ValueError("expected the label of an owner, got spaces")
    return label


OwnerName = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_spelled)]
"""Label of an owner, in the spelling that indexes have."""
IndexName = Annotated[str, Field(min_length=1, max_length=64)]
WorkId = Annotated[str, Field(min_length=1, max_length=1000)]
HoldReason = Annotated[str, Field(min_length=1, max_length=500)]
Nature = Literal["hold", "dispute"]
"""`dispute`: the right itself is in question. `hold`: any other reason, such as a missing bank account."""

HoldState = Literal["in_force", "ended"]


class Subject(StoredDocument):
    """An owner, the owner's works of one index, or one work."""

    owner: OwnerName
    """Owner whose amounts are concerned."""
    index: IndexName | None = None
    """Index of the works. Null selects every index, and the amounts below the floor."""
    work: WorkId | None = None
    """Id of one work of the index. Null selects all of the owner's works."""

    @model_validator(mode="after")
    def _in_an_index(self) -> Self:
        if self.work is not None and self.index is None:
            raise ValueError("expected the index of the work")
        return self


class HoldBody(Body):
    """A hold to place."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"subject": {"owner": "ash"}, "nature": "dispute", "reason": "Two estates claim the works."}
            ]
        }
    )

    subject: Subject
    """Owner or work that the hold is about."""
    nature: Nature = "hold"
    """`hold` or `dispute`."""
    reason: HoldReason
    """Reason in words. Readers of all owners see it."""


class HoldEndBody(Body):
    """The end of a hold."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The estates have agreed."}]})

    reason: HoldReason
    """Reason in words."""


class HoldEnd(Document):
    """The end of a hold."""

    person: str
    """Person who ended the hold."""
    at: str
    """Time of the end in UTC."""
    reason: str
    """Reason in words."""


class HoldDocument(Document):
    """A hold."""

    id: str
    """Id of the hold."""
    subject: Subject
    """Owner or work that the hold is about."""
    nature: Nature
    """`hold` or `dispute`."""
    reason: str
    """Reason in words."""
    person: str
    """Person who placed the hold."""
    at: str
    """Time of the placement in UTC."""
    ended: HoldEnd | None
    """End of the hold. Null while it is in force."""
