"""For orchestrators and monitoring."""

import hmac

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.attributions import Health
from byline.errors import Forbidden, Overloaded, UnusableIndex
from byline_service.accounts.authentication import authenticate
from byline_service.http.problems import problem_responses
from byline_service.state import AppState

router = APIRouter(tags=["Health"])
PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8"


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="livez", response_model_exclude_defaults=True)
async def livez() -> Health:
    """Report that the process lives. Nothing else is checked."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz", operation_id="readyz", responses=problem_responses(503), response_model_exclude_defaults=True
)
async def readyz(request: Request) -> Health:
    """Report readiness: every index is verified and answered a first query, and the database is migrated."""
    service: AppState = request.app.state.service
    await _require_ready(service)
    return Health(status="ready", behind=list(service.follower.behind))


async def _require_ready(service: AppState) -> None:
    """Refuse until every index is warm and the database is migrated.

    Raises:
        Overloaded: The service shuts down, or an index has not answered its first query.
        UnusableIndex: A version that was served is damaged.
        DatabaseUnavailable: The database does not answer, or has another revision.
    """
    if service.admission.closed:
        raise Overloaded("the service is shutting down")
    if not service.ready:
        raise Overloaded("the first queries are still being answered")
    if service.versions.taken_out:
        raise UnusableIndex("the bytes of a served version have changed: restore or switch the version")
    await service.database_readiness.require()


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problem_responses(401, 403, 503),
    },
)
async def metrics(request: Request) -> Response:
    """Write counters and histograms in Prometheus' text format.

    Public where only this machine is answered. Elsewhere it takes the bearer token of the setting `metrics_token`,
    or a key with the scope `read`.
    """
    service: AppState = request.app.state.service
    if not service.settings.loopback_only:
        await _require_scraper(request, service)
    return Response(service.metrics.text(), media_type=PROMETHEUS)


async def _require_scraper(request: Request, service: AppState) -> None:
    token = service.settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if token is not None and hmac.compare_digest(token.get_secret_value().encode(), given):
        return
    key = await authenticate(request.scope, service.accounts)
    if not key.caller.may(Scope.READ) or key.owners is not None:
        raise Forbidden(f"expected a key with the scope {Scope.READ}")
