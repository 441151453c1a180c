"""What each route asks of its caller. A route that asks for nothing, and is not in `PUBLIC`, stops the start."""

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts

from byline.errors import Forbidden, Unauthorized
from service.access.keys import NO_KEY
from service.access.scopes import Caller, Scope

PUBLIC = frozenset({"/livez", "/readyz", "/metrics", "/login", "/static", "/docs", "/openapi.json"})
"""Addresses that need no key. `/metrics` decides for itself, see `service.routes.health`."""


def is_public(path: str) -> bool:
    """Whether an address needs no key."""
    return path in PUBLIC or path.startswith("/static/")


class Requirement:
    """A dependency that lets some callers in.

    Args:
        scope: What their key must allow; None: any valid key will do.
        owner_scoped: Whether keys that see some owners only are let in: the route then narrows what it shows.
    """

    def __init__(self, scope: Scope | None, *, owner_scoped: bool) -> None:
        self.scope = scope
        self.owner_scoped = owner_scoped

    async def __call__(self, request: Request) -> Caller:
        """Let the caller in.

        Returns:
            Who asks.

        Raises:
            Forbidden: The key does not allow it.
        """
        caller = caller_of(request)
        if self.scope is not None and not caller.may(self.scope):
            raise Forbidden(f"expected a key with the scope {self.scope}")
        if caller.owners is not None and not self.owner_scoped:
            raise Forbidden("expected a key that sees every owner: this cannot be narrowed to some")
        return caller


def requires(scope: Scope, *, owner_scoped: bool = False) -> Any:
    """Let callers in whose key allows something.

    In a route: `dependencies=[requires(Scope.QUERY)]`, or a parameter `caller: Annotated[Caller, requires(Scope.READ)]`.

    Args:
        scope: What their key must allow.
        owner_scoped: Whether keys that see some owners only are let in: the route then narrows what it shows.
    """
    return Depends(Requirement(scope, owner_scoped=owner_scoped))


def signed_in() -> Any:
    """Let everybody in who has a valid key, whatever it allows."""
    return Depends(Requirement(None, owner_scoped=True))


def caller_of(request: Request) -> Caller:
    """Who asks, as the middleware found out.

    Raises:
        Unauthorized: Nobody did: the address is a public one.
    """
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None:
        raise Unauthorized(NO_KEY)
    return caller


def hold_guarded(app: FastAPI) -> None:
    """Refuse an application with a route that anybody may ask.

    Raises:
        RuntimeError: A route neither asks for a scope nor is in `PUBLIC`.
    """
    for path, requirement in requirements(app):
        if requirement is None and not is_public(path):
            raise RuntimeError(f"{path} neither requires a scope nor is it in service.access.guard.PUBLIC")


def requirements(app: FastAPI) -> list[tuple[str, Requirement | None]]:
    """Every route's path, and what it asks of its caller."""
    return [
        (str(route.path), _requirement(getattr(route, "dependant", None)))
        for route in iter_route_contexts(app.routes)
    ]


def _requirement(dependant: Any) -> Requirement | None:
    for each in dependant.dependencies if dependant else ():
        found = each.call if isinstance(each.call, Requirement) else _requirement(each)
        if found is not None:
            return found
    return None
