"""Wire documents of API keys, the audit log and usage."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from byline.api.documents import Body, Document, Word

Quota = Annotated[int, Field(ge=1, lt=1 << 31)]
Text = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"),
]


class Scope(StrEnum):
    """A permission that an API key can hold."""

    QUERY = "query"
    """Ask for attributions and shares."""
    READ = "read"
    """Read indexes, examples, owners, statements and usage."""
    COMPENSATE = "compensate"
    """Book events and draft statement runs."""
    APPROVE = "approve"
    """Approve, reject and post statement runs that another person drafted. Includes `read`."""
    ADMIN = "admin"
    """Manage keys, versions, policies and the audit log. Includes every other scope."""


class NewKeyBody(Body):
    """The description of a new API key."""

    name: Text
    """Purpose of the key."""
    person: Text
    """Person who is responsible for the key. An approval requires two different persons."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    """Permissions of the key."""
    owners: Annotated[list[Word], Field(min_length=1, max_length=1000)] | None = None
    """Owners whose rows the key can see. Such a key has the scope `read` alone."""
    expires_at: AwareDatetime | None = None
    """Time at which the key expires."""
    requests_per_minute: Quota | None = None
    """Quota of requests for this key. Null applies the service's quota."""
    queries_per_minute: Quota | None = None
    """Quota of queries for this key. Null applies the service's quota."""


class RotateBody(Body):
    """The options of a key rotation."""

    overlap_hours: Annotated[float, Field(ge=0, le=24 * 90)] = 24.0
    """Hours for which the old key stays valid beside the new one."""


class KeyInfo(Document):
    """An API key without its secret."""

    id: str
    """Public part of the key: the 12 characters after `byl_`."""
    name: str
    """Purpose of the key."""
    person: str
    """Person who is responsible for the key."""
    scopes: list[Scope]
    """Permissions of the key."""
    owners: list[str] | None
    """Owners whose rows the key can see. Null allows all owners."""
    requests_per_minute: int | None
    """Quota of requests for this key. Null applies the service's quota."""
    queries_per_minute: int | None
    """Quota of queries for this key. Null applies the service's quota."""
    replaces: str | None
    """Id of the key that this key replaces after a rotation."""
    made_by: str | None
    """Person who made the key. Null for a key from before persons were recorded."""
    made_by_key: str | None
    """Id of the key that made this key. Null for the command line."""
    active: bool
    """Whether the key is valid now."""
    created_at: datetime
    """Time at which the key was created."""
    expires_at: datetime | None
    """Time at which the key expires."""
    revoked_at: datetime | None
    """Time at which the key was revoked."""
    last_used_at: datetime | None
    """Time of the last request with this key, accurate to a few seconds."""


class NewKey(KeyInfo):
    """A new API key with its secret."""

    key: str
    """The complete key. Only this answer contains it."""


class PersonDocument(Document):
    """A person whose keys the service knows."""

    name: str
    """Name of the person, unlike the name of every other person."""
    made_by: str
    """Person who recorded this one, with the first key."""
    made_by_key: str | None
    """Id of the key that recorded the person. Null for the command line."""
    made_at: datetime
    """Time of the record."""


class AuditLine(Document):
    """An entry of the audit log."""

    id: int
    """Number of the entry. Numbers increase, with gaps."""
    at: datetime
    """Time of the change."""
    key_id: str | None
    """Id of the key that made the change. Null for the command line."""
    person: str
    """Person who made the change."""
    action: str
    """Kind of change, such as `keys.create`."""
    subject: str
    """Name of the changed object."""
    details: dict[str, Any]
    """Further values of the change."""


class UsageRow(Document):
    """The usage of one index by one key on one day."""

    day: date
    """Day in UTC."""
    key_id: str
    """Id of the key."""
    index: str
    """Name of the index."""
    requests: int
    """Number of answered requests."""
    queries: int
    """Number of queries in these requests."""
    milliseconds: int
    """Time in the service, summed over the requests."""
