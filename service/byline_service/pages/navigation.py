"""The navigation bar, and the actions that pages offer to a caller. The action itself checks the permission again."""

from dataclasses import dataclass

from byline.api.accounts import Scope
from byline_service.accounts.scopes import Caller


@dataclass(frozen=True)
class Entry:
    """A page in the navigation bar."""

    name: str
    """Name by which a page refers to itself."""
    title: str
    path: str
    scope: Scope | None
    """Scope that the page needs. None for a public page."""
    owner_scoped: bool = False
    """Whether keys with owners may open the page."""


ENTRIES = (
    Entry("ask", "Ask", "/", Scope.READ),
    Entry("indexes", "Indexes", "/indexes", Scope.READ),
    Entry("compensation", "Compensation", "/compensation", Scope.READ, owner_scoped=True),
    Entry("usage", "Usage", "/usage", Scope.READ),
    Entry("docs", "API", "/docs", None, owner_scoped=True),
)


def entries(caller: Caller | None) -> list[Entry]:
    """Return the pages that a caller can open. Without a caller, the public ones."""
    return [each for each in ENTRIES if each.scope is None or _opens(caller, each.scope, each.owner_scoped)]


def _opens(caller: Caller | None, scope: Scope, owner_scoped: bool) -> bool:  # noqa: FBT001 - a field of the table
    return caller is not None and caller.may(scope) and (caller.owners is None or owner_scoped)


@dataclass(frozen=True)
class Permissions:
    """Actions that pages offer to a caller."""

    read_all: bool = False
    """See all owners."""
    ask: bool = False
    """Send queries."""
    book: bool = False
    """Send queries, and book their answers as events."""
    compensate: bool = False
    """Draft runs."""
    approve: bool = False
    """Approve and post runs."""
    admin: bool = False
    """Switch versions, and read the audit log."""

    @classmethod
    def of(cls, caller: Caller | None) -> "Permissions":
        """Return the actions of a caller; none without a caller, and none for keys with owners."""
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
