"""Which pages there are, and what of them a caller is offered. What a caller may do is decided where it is done."""

from dataclasses import dataclass

from byline.api.accounts import Scope
from byline_service.accounts.scopes import Caller


@dataclass(frozen=True)
class Entry:
    """One page in the bar at the top."""

    name: str
    """What pages call themselves."""
    title: str
    path: str
    scope: Scope | None
    """What a key must allow; None: it is public."""
    owner_scoped: bool = False
    """Whether keys that see some owners only have it."""


ENTRIES = (
    Entry("ask", "Ask", "/", Scope.READ),
    Entry("indexes", "Indexes", "/indexes", Scope.READ),
    Entry("compensation", "Compensation", "/compensation", Scope.READ, owner_scoped=True),
    Entry("usage", "Usage", "/usage", Scope.READ),
    Entry("docs", "API", "/docs", None, owner_scoped=True),
)


def entries(caller: Caller | None) -> list[Entry]:
    """The pages that a caller can open; those that are public where nobody is signed in."""
    return [each for each in ENTRIES if each.scope is None or _opens(caller, each.scope, each.owner_scoped)]


def _opens(caller: Caller | None, scope: Scope, owner_scoped: bool) -> bool:  # noqa: FBT001 - a field of the table
    return caller is not None and caller.may(scope) and (caller.owners is None or owner_scoped)


@dataclass(frozen=True)
class Offered:
    """What pages offer a caller to see and to do."""

    read_all: bool = False
    """See every owner."""
    ask: bool = False
    """Ask questions."""
    book: bool = False
    """Ask, and book the answer as an event."""
    compensate: bool = False
    """Draft runs."""
    approve: bool = False
    """Approve and post them."""
    admin: bool = False
    """Switch versions, read the audit log."""

    @classmethod
    def to(cls, caller: Caller | None) -> "Offered":
        """What a caller is offered; nothing where nobody is signed in, little where the key sees some owners only."""
        if caller is None or caller.owners is not None:
            return cls()
        return cls(
            read_all=caller.may(Scope.READ),
            ask=caller.may(Scope.QUERY),
            book=caller.may(Scope.QUERY) and caller.may(Scope.COMPENSATE),
            compensate=caller.may(Scope.COMPENSATE),
            approve=caller.may(Scope.APPROVE),
            admin=caller.may(Scope.ADMIN),
        )
