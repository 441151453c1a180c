"""The application: routes, middleware and the lifespan of a service."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI

from byline.api.terms import Ranking
from byline.attribution.attributor import Attributor
from byline.errors import BylineError, InvalidInput
from byline.version import __version__
from byline_service.accounts.authentication import Authentication
from byline_service.accounts.exports import ExportLog
from byline_service.accounts.failed_logins import FailedLogins
from byline_service.accounts.key_cache import KeyCache
from byline_service.accounts.permissions import require_guarded
from byline_service.accounts.quotas import MemoryCounter, Quotas, SharedCounter
from byline_service.accounts.secret import open_database, read_secrets
from byline_service.accounts.usage import UsageBuffer
from byline_service.api import (
    answers,
    attributions,
    audit_and_usage,
    consents,
    events,
    health,
    holds,
    images,
    indexes,
    keys,
    ledger,
    openapi,
    owner_accounts,
    parties,
    payouts,
    policies,
    rights,
    rosters,
    run_previews,
    sessions,
    signing_keys,
    statement_runs,
    statement_works,
    statements,
    versions,
)
from byline_service.attributions.admission import Admission, Capacity
from byline_service.attributions.body_limits import BodyLimits
from byline_service.attributions.compute import ComputeThread, LoopCallbacks
from byline_service.attributions.overload import OverloadMiddleware
from byline_service.attributions.withheld import ConsentCache
from byline_service.database import Database
from byline_service.database.readiness import DatabaseReadiness
from byline_service.http import problems
from byline_service.http.middleware import AllowedHosts, BodyLimit, RequestLog
from byline_service.http.problems import Failures
from byline_service.ledger.head_notes import HeadNotes
from byline_service.ledger.verify_job import Verifier
from byline_service.maintenance import run_maintenance, write
from byline_service.observability.metrics import Metrics
from byline_service.observability.tracing import Tracing, TracingMiddleware
from byline_service.pages import answers as answer_pages
from byline_service.pages import ask
from byline_service.pages import indexes as index_pages
from byline_service.pages import statement_works as statement_works_pages
from byline_service.pages import usage as usage_pages
from byline_service.pages.compensation.routes import PAGES as COMPENSATION_PAGES
from byline_service.settings import Settings
from byline_service.signing.configured_keys import read_keyring
from byline_service.state import AppState
from byline_service.versions.directory import IndexDirectory
from byline_service.versions.file_watch import FileWatch
from byline_service.versions.follower import Follower
from byline_service.versions.opener import Opener
from byline_service.versions.records import check_name
from byline_service.versions.registry import Registry
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.switcher import Switcher

log = structlog.get_logger("service")
COMPENSATION = (
    events,
    signing_keys,
    policies,
    parties,
    rights,
    rosters,
    consents,
    holds,
    run_previews,
    statement_runs,
    payouts,
    statement_works,
    statements,
    ledger,
    owner_accounts,
)
DESCRIPTION = """Which training examples made the model predict this, and what is each owner due?

Scores are positive where training on an example raised the target (lowered the loss). Failures are
RFC 9457 problem documents (`application/problem+json`) that never repeat what was sent."""


def create_app(
    settings: Settings,
    attributors: Mapping[str, Attributor | ServedVersion],
    directories: Mapping[str, IndexDirectory] | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        settings: The configuration.
        attributors: Opened indexes, by the name that they are served under.
        directories: Directories of the indexes that follow the database, by the index's name.
        tracing: The tracer of requests. None makes no spans. It is closed with the application.

    Returns:
        An ASGI application. Its lifespan starts and ends the compute thread.
    """
    service = build_state(settings, attributors, directories or {}, tracing)
    app = FastAPI(
        title="Byline",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.problem_responses(400, 401, 403, 421, 429, 503),
    )
    app.state.service = service
    problems.install(app)
    for module in (
        attributions,
        answers,
        versions,
        images,
        indexes,
        keys,
        audit_and_usage,
        health,
        sessions,
        *COMPENSATION,
        ask,
        answer_pages,
        index_pages,
        *COMPENSATION_PAGES,
        usage_pages,
        statement_works_pages,
    ):
        app.include_router(module.router)
    app.include_router(versions.alias_router)
    ask.mount_static(app)
    app.openapi = _written_once(app, service)  # type: ignore[method-assign]
    app.add_middleware(BodyLimit, limit=BodyLimits(settings, service.versions))
    app.add_middleware(ExportLog, database=service.database, failures=service.failures)
    app.add_middleware(Authentication, accounts=service.accounts, failures=service.failures)
    app.add_middleware(AllowedHosts, hosts=settings.allowed_hosts)
    app.add_middleware(RequestLog, metrics=service.metrics)
    if tracing is not None:
        app.add_middleware(TracingMiddleware, tracing=tracing)
    app.add_middleware(
        OverloadMiddleware, admission=service.admission, failures=service.failures, metrics=service.metrics
    )
    require_guarded(app)
    return app


def build_state(
    settings: Settings,
    attributors: Mapping[str, Attributor | ServedVersion],
    directories: Mapping[str, IndexDirectory],
    tracing: Tracing | None = None,
) -> AppState:
    """Create the parts of a service and connect them.

    Args:
        settings: The configuration.
        attributors: Opened indexes, by the name that they are served under.
        directories: Directories of the indexes that follow the database, by the index's name.
        tracing: The tracer of requests. None makes no spans.

    Returns:
        The state, with no thread started and no connection opened.

    Raises:
        InvalidInput: A name is not valid, or no index can answer by a baseline of the settings.
    """
    metrics = Metrics()
    versions = _registry(attributors, metrics)
    capacity = Capacity(settings.queue_requests, settings.queue_cost, settings.queue_bytes)
    admission = Admission(capacity, metrics.inside.set)
    compute = ComputeThread(batch_cost=settings.batch_cost, threads=settings.threads, metrics=metrics)
    database = open_database(settings)
    database.on_failure = metrics.count_database_error
    switcher = Switcher(database=database, registry=versions, opener=Opener(directories), metrics=metrics)
    state = AppState(
        settings=settings,
        metrics=metrics,
        tracing=tracing,
        database=database,
        database_readiness=DatabaseReadiness(database, settings.key_grace_seconds),
        accounts=_key_cache(database, settings),
        quotas=_quotas(database, settings),
        usage=UsageBuffer(),
        failed_logins=FailedLogins(),
        admission=admission,
        compute=compute,
        failures=Failures(partial(_retry_after, admission, compute)),
        directories=directories,
        versions=versions,
        switcher=switcher,
        follower=Follower(switcher, settings.versions_poll_seconds),
        keyring=read_keyring(settings, is_sqlite=database.is_sqlite),
        consents=ConsentCache(database),
        verifier=Verifier(database),
    )
    _offer_baselines(state.attributors, settings.baselines)
    return state


def _registry(attributors: Mapping[str, Attributor | ServedVersion], metrics: Metrics) -> Registry:
    for name in attributors:
        check_name("an index name", name)
    served = {
        name: each if isinstance(each, ServedVersion) else ServedVersion.of(each)
        for name, each in attributors.items()
    }
    registry = Registry(served)
    metrics.loaded.set_function(lambda: registry.loaded)
    return registry


def _key_cache(database: Database, settings: Settings) -> KeyCache:
    return KeyCache(
        database,
        read_secrets(settings, is_sqlite=database.is_sqlite),
        secure_cookies=settings.secure_cookies,
        fresh_seconds=settings.key_fresh_seconds,
        grace_seconds=settings.key_grace_seconds,
    )


def _quotas(database: Database, settings: Settings) -> Quotas:
    counter = MemoryCounter() if database.is_sqlite else SharedCounter(database)
    return Quotas(counter, settings.requests_per_minute, settings.queries_per_minute)


def _retry_after(admission: Admission, compute: ComputeThread) -> int:
    """Estimate the seconds after which there is room for another request."""
    return min(60, max(1, math.ceil(admission.cost * compute.seconds_each)))


def _offer_baselines(attributors: Mapping[str, Attributor], baselines: Sequence[Ranking]) -> None:
    """Offer each index the baselines that it can answer by.

    Raises:
        InvalidInput: No index can answer by one of them, or a package is not installed.
    """
    for attributor in attributors.values():
        attributor.similarities.offer(baselines)
    for baseline in baselines:
        reasons = {name: a.similarities.missing.get(baseline) for name, a in attributors.items()}
        if all(reasons.values()):
            detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise InvalidInput(
                f"expected an index that can answer by the baseline {baseline}, got none ({detail})"
            )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: AppState = app.state.service
    await service.database_readiness.prepare()
    service.callbacks = LoopCallbacks(asyncio.get_running_loop())
    service.compute.start()
    warming = asyncio.ensure_future(_warm(service))
    warming.add_done_callback(_log_failure)
    following = asyncio.ensure_future(service.follower.run())
    house = asyncio.ensure_future(run_maintenance(service))
    noting = asyncio.ensure_future(_head_notes(service).run(service.settings.ledger_heads_seconds))
    watching = asyncio.ensure_future(FileWatch(service.switcher, service.settings.served_check_seconds).run())
    yield
    service.admission.close()
    for each in (warming, following, noting, watching):
        each.cancel()
    # The follower may be in the middle of a transaction: a connection that is closed under it never answers again.
    await asyncio.gather(warming, following, noting, watching, return_exceptions=True)
    await service.switcher.close()
    await asyncio.to_thread(service.compute.stop)
    if service.tracing is not None:
        await asyncio.to_thread(service.tracing.close)
    house.cancel()
    await asyncio.gather(house, return_exceptions=True)
    await write(service)
    await service.database.dispose()


def _head_notes(service: AppState) -> HeadNotes:
    url = service.settings.ledger_heads_url
    address = None if url is None else url.get_secret_value()
    return HeadNotes(service.database, service.settings.ledger_heads_file, address, service.metrics)


async def _warm(service: AppState) -> None:
    """Answer a first query on every index. The service is ready after that."""
    for name, attributor in service.attributors.items():
        await asyncio.wrap_future(service.compute.call(attributor.warm))
        log.info("warm", index=name, version=attributor.index.version)
        for baseline, reason in attributor.similarities.missing.items():
            log.warning("baseline not available", index=name, baseline=baseline, detail=reason)
    service.on_ready()
    service.ready = True


def _log_failure(warming: "asyncio.Future[None]") -> None:
    """Log why an index cannot answer: the service does not become ready."""
    if not warming.cancelled() and (error := warming.exception()):
        detail = str(error) if isinstance(error, BylineError) else None  # Byline's messages hold no content
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
