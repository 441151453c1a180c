"""Permissions of routes. A route without a requirement that is not in `PUBLIC` stops the start."""

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts

from byline.api.accounts import Scope
from byline.errors import Forbidden, QuotaExceeded, Unauthorized
from byline_service.accounts.keys import NO_KEY
from byline_service.accounts.quotas import Kind
from byline_service.accounts.scopes import Caller
from byline_service.http.parameters import require_known_parameters

PUBLIC = frozenset({"/livez", "/readyz", "/metrics", "/login", "/static", "/docs", "/openapi.json"})
"""Paths that need no key. `/metrics` checks for itself, see `byline_service.api.health`."""


def is_public(path: str) -> bool:
    """Return whether a path needs no key."""
    return path in PUBLIC or path.startswith("/static/")


class Requirement:
    """A dependency that admits callers by the scopes and owners of their key.

    Args:
        scope: The scope that the key needs. None admits any valid key.
        owner_scoped: Whether keys with owners are admitted: the route then narrows its answer to these owners.
    """

    def __init__(self, scope: Scope | None, *, owner_scoped: bool) -> None:
        self.scope = scope
        self.owner_scoped = owner_scoped

    async def __call__(self, request: Request) -> Caller:
        """Admit the caller, and charge a request to the key's quota.

        Returns:
            The caller.

        Raises:
            Forbidden: The key lacks the scope, or sees some owners only.
            QuotaExceeded: The key's quota of requests is used up for this minute.
            InvalidQuery: The operation does not have one of the query parameters.
        """
        caller = caller_of(request)
        await charge(request, "requests")
        if self.scope is not None and not caller.may(self.scope):
            raise Forbidden(f"expected a key with the scope {self.scope}")
        if caller.owners is not None and not self.owner_scoped:
            raise Forbidden(
                "expected a key that sees every owner: this operation cannot be narrowed to some owners"
            )
        if request.url.path.startswith("/v1/"):
            require_known_parameters(request)
        return caller


def requires(scope: Scope, *, owner_scoped: bool = False) -> Any:
    """Return the dependency that admits callers with a scope.

    In a route: `dependencies=[requires(Scope.QUERY)]`, or a parameter `caller: Annotated[Caller, requires(Scope.READ)]`.

    Args:
        scope: The scope that the key needs.
        owner_scoped: Whether keys with owners are admitted: the route then narrows its answer to these owners.
    """
    return Depends(Requirement(scope, owner_scoped=owner_scoped))


def signed_in() -> Any:
    """Return the dependency that admits every valid key."""
    return Depends(Requirement(None, owner_scoped=True))


async def charge(request: Request, kind: Kind, cost: int = 1) -> None:
    """Charge a cost to the caller's quota. Headers of the answer report the rest.

    Raises:
        Unauthorized: The path is public, so that there is no caller.
        QuotaExceeded: The rest of the quota is too small.
    """
    caller_of(request)
    state, service = request.scope["state"], request.app.state.service
    try:
        window = await service.quotas.take(state["key"], kind, cost)
    except QuotaExceeded:
        service.metrics.count_quota_refusal(kind)
        raise
    if window is not None:
        state.setdefault("windows", []).append(window)


def caller_of(request: Request) -> Caller:
    """Return the caller that the authentication middleware found.

    Raises:
        Unauthorized: The path is public, so that there is no caller.
    """
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None:
        raise Unauthorized(NO_KEY)
    return caller


def require_guarded(app: FastAPI) -> None:
    """Refuse an application that has an unprotected route.

    Raises:
        RuntimeError: A route has no requirement and is not in `PUBLIC`.
    """
    for route in iter_route_contexts(app.routes):
        if requirement_of(getattr(route, "dependant", None)) is None and not is_public(str(route.path)):
            raise RuntimeError(
                f"{route.path} requires no scope, and is not in byline_service.accounts.permissions.PUBLIC"
            )


def requirement_of(dependant: Any) -> Requirement | None:
    """Return the requirement of a route.

    Args:
        dependant: Dependencies of the route, as FastAPI resolved them. None for a route without any.
    """
    for each in dependant.dependencies if dependant else ():
        found = each.call if isinstance(each.call, Requirement) else requirement_of(each)
        if found is not None:
            return found
    return None
