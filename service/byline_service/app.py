"""The application: what a request meets, from the outside in."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI

from byline import __version__
from byline.attribution.attributor import Attributor
from byline.errors import BylineError
from byline_service.accounts.authentication import Authentication
from byline_service.accounts.permissions import require_guarded
from byline_service.api import (
    aliases,
    attributions,
    audit_and_usage,
    events,
    health,
    indexes,
    keys,
    ledger,
    openapi,
    policies,
    sessions,
    statement_runs,
    statements,
    versions,
)
from byline_service.attributions.overload import OverloadMiddleware
from byline_service.attributions.shortcut import Shortcut
from byline_service.http import problems
from byline_service.http.middleware import AllowedHosts, BodyLimit, RequestLog
from byline_service.maintenance import run_maintenance, write
from byline_service.observability.tracing import TraceRequests, Tracing
from byline_service.pages import ask
from byline_service.pages import compensation as compensation_pages
from byline_service.pages import indexes as index_pages
from byline_service.pages import usage as usage_pages
from byline_service.settings import Settings
from byline_service.state import AppState
from byline_service.versions.directory import IndexDirectory
from byline_service.versions.served_version import ServedVersion

log = structlog.get_logger("service")
COMPENSATION = (events, policies, statement_runs, statements, ledger)
DESCRIPTION = """Which training examples made the model predict this, and what is each owner due?

Scores are positive where training on an example raised the target (lowered the loss). Failures are
RFC 9457 problem documents (`application/problem+json`) that never repeat what was sent."""


def create_app(
    settings: Settings,
    attributors: Mapping[str, Attributor | ServedVersion],
    directories: Mapping[str, IndexDirectory] | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        settings: How it runs.
        attributors: Opened indexes, by the name that they are served under.
        directories: Where the versions of indexes lie, by the index's name: these follow the database.
        tracing: Makes spans of requests; None makes none. Closed with the application.

    Returns:
        An ASGI application; its lifespan starts and ends the compute thread.
    """
    service = AppState(settings, attributors, directories or {}, tracing=tracing)
    app = FastAPI(
        title="Byline",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.declared(400, 401, 403, 421, 429, 503),
    )
    app.state.service = service
    problems.install(app)
    for module in (
        attributions,
        versions,
        aliases,
        indexes,
        keys,
        audit_and_usage,
        health,
        sessions,
        *COMPENSATION,
        ask,
        index_pages,
        compensation_pages,
        usage_pages,
    ):
        app.include_router(module.router)
    ask.mount_static(app)
    app.openapi = _written_once(app, service)  # type: ignore[method-assign]
    app.add_middleware(Shortcut, failures=service.failures)
    app.add_middleware(BodyLimit, limit=service.body_limit)
    app.add_middleware(Authentication, accounts=service.accounts, failures=service.failures)
    app.add_middleware(AllowedHosts, hosts=settings.allowed_hosts)
    app.add_middleware(RequestLog, metrics=service.metrics)
    if tracing is not None:
        app.add_middleware(TraceRequests, tracing=tracing)
    app.add_middleware(
        OverloadMiddleware, admission=service.admission, failures=service.failures, metrics=service.metrics
    )
    require_guarded(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: AppState = app.state.service
    await service.database_readiness.prepare()
    service.compute.start()
    warming = asyncio.ensure_future(service.warm())
    warming.add_done_callback(_log_failure)
    following = asyncio.ensure_future(service.follower.run())
    house = asyncio.ensure_future(run_maintenance(service.database, service.accounts, service.usage))
    yield
    service.admission.close()
    warming.cancel()
    following.cancel()
    # The follower may be in the middle of a transaction: a connection that is closed under it never answers again.
    await asyncio.gather(warming, following, return_exceptions=True)
    await service.switcher.close()
    await asyncio.to_thread(service.compute.stop)
    if service.tracing is not None:
        await asyncio.to_thread(service.tracing.close)
    house.cancel()
    await asyncio.gather(house, return_exceptions=True)
    await write(service.database, service.accounts, service.usage)
    await service.database.dispose()


def _log_failure(warming: "asyncio.Future[None]") -> None:
    """An index that cannot answer keeps the service from being ready; the log says why."""
    if not warming.cancelled() and (error := warming.exception()):
        detail = str(error) if isinstance(error, BylineError) else None  # those never repeat content
        log.error("not ready", error=type(error).__name__, detail=detail, exc_info=error)


def _written_once(app: FastAPI, service: AppState) -> "Any":
    written_at = -1

    def openapi_document() -> dict[str, Any]:
        nonlocal written_at
        if app.openapi_schema is None or written_at != service.versions.swaps:
            written_at = service.versions.swaps  # another version may take other queries
            app.openapi_schema = openapi.document(app, service)
        return app.openapi_schema

    return openapi_document
