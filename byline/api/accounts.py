"""What clients send and get about keys, the audit log and usage."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from byline.api.attributions import Body, Document, Word
from byline_service.accounts.scopes import Scope

Quota = Annotated[int, Field(ge=1, lt=1 << 31)]
Text = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"),
]


class NewKeyBody(Body):
    """A key to be made."""

    name: Text
    """What it is for."""
    person: Text
    """Who answers for it: approvals need two persons."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    """What it allows."""
    owners: Annotated[list[Word], Field(min_length=1, max_length=1000)] | None = None
    """Sees the rows of these owners only; such a key has the scope `read` alone."""
    expires_at: AwareDatetime | None = None
    """When it ends by itself."""
    requests_per_minute: Quota | None = None
    """Its own quota; null: the service's."""
    queries_per_minute: Quota | None = None
    """Its own quota; null: the service's."""


class RotateBody(Body):
    """How a key is replaced."""

    overlap_hours: Annotated[float, Field(ge=0, le=24 * 90)] = 24.0
    """How long the old key stays valid beside the new one."""


class KeyInfo(Document):
    """A key, without its secret."""

    id: str
    """Its 12 characters after `byl_`."""
    name: str
    """What it is for."""
    person: str
    """Who answers for it."""
    scopes: list[Scope]
    """What it allows."""
    owners: list[str] | None
    """Whose rows it sees; null: everybody's."""
    requests_per_minute: int | None
    """Its own quota; null: the service's."""
    queries_per_minute: int | None
    """Its own quota; null: the service's."""
    replaces: str | None
    """The key that it was rotated from."""
    active: bool
    """Whether it is valid now."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends by itself."""
    revoked_at: datetime | None
    """When it was ended."""
    last_used_at: datetime | None
    """When it was last used, to a few seconds."""


class NewKey(KeyInfo):
    """A new key, with its secret."""

    key: str
    """The whole key: this answer alone shows it."""


class KeyPage(Document):
    """Some keys, by id."""

    keys: list[KeyInfo]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""


class AuditLine(Document):
    """One change."""

    id: int
    """Counts up, with gaps."""
    at: datetime
    """When."""
    key_id: str | None
    """With which key; null on the command line."""
    person: str
    """Who."""
    action: str
    """What was done: `keys.create`."""
    subject: str
    """To what."""
    details: dict[str, Any]
    """More."""


class AuditPage(Document):
    """Some changes, the newest first."""

    lines: list[AuditLine]
    """At most `limit`."""
    next: int | None
    """Pass it as `after` for the page that follows; null on the last one."""


class UsageRow(Document):
    """What one key asked of one index on one day."""

    day: date
    """In UTC."""
    key_id: str
    """The key's id."""
    index: str
    """The index."""
    requests: int
    """Answered."""
    queries: int
    """In them."""
    milliseconds: int
    """Time in the service, summed over requests."""


class UsagePage(Document):
    """Some usage, the newest day first."""

    usage: list[UsageRow]
    """At most `limit`."""
    next: str | None
    """Pass it as `after` for the page that follows; null on the last one."""
