"""What each route asks of its caller. A route that asks for nothing, and is not in `PUBLIC`, stops the start."""

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts

from byline.api.accounts import Scope
from byline.errors import Forbidden, QuotaExceeded, Unauthorized
from byline_service.accounts.keys import NO_KEY
from byline_service.accounts.quotas import Kind
from byline_service.accounts.scopes import Caller

PUBLIC = frozenset({"/livez", "/readyz", "/metrics", "/login", "/static", "/docs", "/openapi.json"})
"""Addresses that need no key. `/metrics` decides for itself, see `byline_service.api.health`."""


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
            QuotaExceeded: The key's requests of this minute are used up.
        """
        caller = caller_of(request)
        await charge(request, "requests")
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


async def charge(request: Request, kind: Kind, cost: int = 1) -> None:
    """Take from the caller's quota; the answer's headers say what is left.

    Raises:
        Unauthorized: The address is a public one: nobody asked who asks.
        QuotaExceeded: There is not enough left.
    """
    caller_of(request)
    state, service = request.scope["state"], request.app.state.service
    try:
        window = await service.quotas.take(state["key"], kind, cost)
    except QuotaExceeded:
        service.metrics.quota_refused(kind)
        raise
    if window is not None:
        state.setdefault("windows", []).append(window)


def caller_of(request: Request) -> Caller:
    """Who asks, as the middleware found out.

    Raises:
        Unauthorized: Nobody did: the address is a public one.
    """
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None:
        raise Unauthorized(NO_KEY)
    return caller


def require_guarded(app: FastAPI) -> None:
    """Refuse an application with a route that anybody may ask.

    Raises:
        RuntimeError: A route neither asks for a scope nor is in `PUBLIC`.
    """
    for route in iter_route_contexts(app.routes):
        if not _guarded(getattr(route, "dependant", None)) and not is_public(str(route.path)):
            raise RuntimeError(
                f"{route.path} requires no scope, and is not in byline_service.accounts.permissions.PUBLIC"
            )


def _guarded(dependant: Any) -> bool:
    found = dependant.dependencies if dependant else ()
    return any(isinstance(each.call, Requirement) or _guarded(each) for each in found)
