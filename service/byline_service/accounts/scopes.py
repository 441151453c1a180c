"""Scopes of keys, and the caller that a key stands for."""

from dataclasses import dataclass

from byline.api.accounts import Scope
from byline.errors import Forbidden


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The caller of a request, as the key describes it."""

    key_id: str
    """Public part of the key."""
    person: str
    """Person who is responsible for the key: two keys of one person are one person."""
    scopes: frozenset[Scope]
    """Scopes of the key."""
    owners: frozenset[str] | None = None
    """Owners whose rows the key sees. None for all."""

    def may(self, scope: Scope) -> bool:
        """Return whether the key has a scope. `admin` includes every scope, and `approve` includes `read`."""
        held = self.scopes | ({Scope.READ} if Scope.APPROVE in self.scopes else set())
        return scope in held or Scope.ADMIN in held

    def sees(self, owner: str | None) -> bool:
        """Return whether the key sees an owner's rows."""
        return self.owners is None or owner in self.owners

    def require_owner(self, owner: str | None) -> None:
        """Refuse an owner that the key does not see.

        Raises:
            Forbidden: The key does not see the owner.
        """
        if not self.sees(owner):
            raise Forbidden("expected one of the owners that this key may see, got another one")
