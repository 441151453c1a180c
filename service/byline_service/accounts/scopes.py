"""What a key allows, and who holds it."""

from dataclasses import dataclass

from byline.api.accounts import Scope
from byline.errors import Forbidden


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, as their key says."""

    key_id: str
    """The public part of the key."""
    person: str
    """Who answers for it: two keys of one person are one person."""
    scopes: frozenset[Scope]
    """What the key allows."""
    owners: frozenset[str] | None = None
    """Whose rows the key sees; None: everybody's."""

    def may(self, scope: Scope) -> bool:
        """Whether the key allows something; `admin` allows everything."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, owner: str | None) -> bool:
        """Whether the key sees an owner's rows."""
        return self.owners is None or owner in self.owners

    def require_owner(self, owner: str | None) -> None:
        """Refuse an owner whom the key does not see.

        Raises:
            Forbidden: It does not.
        """
        if not self.sees(owner):
            raise Forbidden("expected one of the owners that this key may see, got another one")
