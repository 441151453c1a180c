"""What the service serves: its indexes, and everything that the endpoints share."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from functools import cached_property

import structlog
from starlette.types import Scope

from byline.attribution.attributor import Attributor
from byline.errors import InvalidInput, Overloaded
from byline_service.accounts.key_cache import KeyCache
from byline_service.accounts.quotas import MemoryCounter, Quotas, SharedCounter
from byline_service.accounts.secret import open_database, read_secret
from byline_service.attributions.admission import Admission, Capacity
from byline_service.attributions.arrivals import LoopCallbacks
from byline_service.attributions.compute import ComputeThread
from byline_service.database.idempotency_queries import Attempt
from byline_service.database.readiness import DatabaseReadiness
from byline_service.http.bodies import SAFETENSORS
from byline_service.http.problems import Failures
from byline_service.ledger.verify_job import Verifier
from byline_service.maintenance import Usage
from byline_service.observability.metrics import Metrics
from byline_service.observability.tracing import Tracing
from byline_service.settings import Settings
from byline_service.versions.catalogue import Catalogue
from byline_service.versions.directory import IndexDirectory
from byline_service.versions.follower import Follower
from byline_service.versions.names import NAME
from byline_service.versions.opener import Opener
from byline_service.versions.registry import Registry
from byline_service.versions.served_version import ServedVersion
from byline_service.versions.switcher import Switcher

log = structlog.get_logger("service")
_FEATURE_NUMBER_BYTES = 32


@dataclass
class AppState:
    """One running service: settings, indexes, the door and the compute thread."""

    settings: Settings
    opened: InitVar[Mapping[str, Attributor | ServedVersion]]
    """What is served at first, by name."""
    directories: Mapping[str, IndexDirectory] = field(default_factory=dict)
    """Where the versions of each index lie, by the index's name: these follow the database."""
    metrics: Metrics = field(default_factory=Metrics)
    tracing: Tracing | None = None
    """Makes spans of requests; None makes none."""
    ready: bool = False
    """Whether every index answered its first query."""
    on_ready: Callable[[], None] = lambda: None
    """Called once everything is loaded and warm, just before the service says that it is ready."""

    def __post_init__(self, opened: Mapping[str, Attributor | ServedVersion]) -> None:
        for name in opened:
            if not NAME.match(name):
                raise InvalidInput(
                    f"expected index names like {NAME.pattern}, got one of {len(name)} characters"
                )
        room = Capacity(self.settings.queue_requests, self.settings.queue_cost, self.settings.queue_bytes)
        self.admission = Admission(room, self.metrics.inside.set)
        self.compute = ComputeThread(
            batch_cost=self.settings.batch_cost, threads=self.settings.threads, metrics=self.metrics
        )
        self.versions = Registry(
            {
                name: each if isinstance(each, ServedVersion) else ServedVersion.of(each)
                for name, each in opened.items()
            }
        )
        self.metrics.loaded.set_function(lambda: self.versions.loaded)
        self.database = open_database(self.settings)
        self.accounts = KeyCache(
            self.database,
            read_secret(self.settings, is_sqlite=self.database.is_sqlite),
            fresh_seconds=self.settings.key_fresh_seconds,
            grace_seconds=self.settings.key_grace_seconds,
        )
        self.database.on_failure = self.metrics.database_error
        self.database_readiness = DatabaseReadiness(self.database, self.settings.key_grace_seconds)
        self.failures = Failures(self.retry_after)
        self.quotas = Quotas(
            MemoryCounter() if self.database.is_sqlite else SharedCounter(self.database),
            self.settings.requests_per_minute,
            self.settings.queries_per_minute,
        )
        self.usage = Usage()
        self.verifier = Verifier(self.database)
        self.in_progress: set[Attempt] = set()
        self.switcher = Switcher(
            database=self.database,
            registry=self.versions,
            opener=Opener(self.directories),
            metrics=self.metrics,
        )
        self.follower = Follower(self.switcher, self.settings.versions_poll_seconds)
        self._offer_baselines()

    def _offer_baselines(self) -> None:
        """Offer each index what it can answer by; a baseline that none of them can is a mistake.

        Raises:
            InvalidInput: No index can, or a package is not installed.
        """
        for attributor in self.attributors.values():
            attributor.similarities.offer(self.settings.baselines)
        for baseline in self.settings.baselines:
            reasons = {name: a.similarities.missing.get(baseline) for name, a in self.attributors.items()}
            if all(reasons.values()):
                detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                raise InvalidInput(
                    f"expected an index that can answer by the baseline {baseline}, got none ({detail})"
                )

    @property
    def attributors(self) -> dict[str, Attributor]:
        """What answers under each name, at this moment."""
        return {name: each.attributor for name, each in self.versions.served.items()}

    def attributor(self, name: str) -> Attributor:
        """Find what answers under a name now; a request that is under way asks `taken` instead.

        Raises:
            NotFound: None of that name is served.
        """
        return self.versions.current(name).attributor

    def catalogue(self, name: str) -> Catalogue:
        """Find an index's lists.

        Raises:
            NotFound: None of that name is served.
        """
        return self.versions.current(name).catalogue

    def index_of(self, name: str) -> str:
        """The index that a name stands for: itself, or what an alias of that name is served from.

        Raises:
            NotFound: None of that name is served.
        """
        return name if name in self.directories else self.versions.current(name).attributor.name

    def pin_version(self, scope: Scope, name: str) -> ServedVersion:
        """The version that a request began with: taken once, whatever is switched while it runs.

        Args:
            scope: The request's.
            name: What it asks.

        Raises:
            NotFound: None of that name is served.
        """
        taken: dict[str, ServedVersion] = scope.setdefault("state", {}).setdefault("versions", {})
        if name not in taken:
            taken[name] = self.versions.current(name)
        return taken[name]

    async def require_ready(self) -> None:
        """Refuse requests until everything is there.

        Raises:
            Overloaded: It is shutting down, or the first queries are still being answered.
            DatabaseUnavailable: The database does not answer, or has another revision.
        """
        if self.admission.closed:
            raise Overloaded("the service is shutting down")
        if not self.ready:
            raise Overloaded("the first queries are still being answered")
        await self.database_readiness.hold()

    @cached_property
    def arrivals(self) -> LoopCallbacks:
        """Into the event loop that serves."""
        return LoopCallbacks(asyncio.get_running_loop())

    async def warm(self) -> None:
        """Answer a first query on every index; only then is the service ready."""
        for name, attributor in self.attributors.items():
            await asyncio.wrap_future(self.compute.call(attributor.warm))
            log.info("warm", index=name, version=attributor.index.version)
            for baseline, reason in attributor.similarities.missing.items():
                log.warning("baseline not offered", index=name, baseline=baseline, detail=reason)
        self.on_ready()
        self.ready = True

    def retry_after(self) -> int:
        """Seconds after which there should be room again."""
        return min(60, max(1, math.ceil(self.admission.cost * self.compute.seconds_each)))

    def body_limit(self, scope: Scope) -> int:
        """Largest body in bytes that a request may have."""
        name = _asked_index(scope["path"])
        if name is None or name not in self.versions.served:
            return self.settings.body_bytes
        version = self.pin_version(scope, name)
        if _is_gradient(scope):
            # An index that takes none says so to a body of ordinary size.
            return version.gradient_bytes or self.settings.body_bytes
        return self.settings.body_bytes + version.attributor.index.width * _FEATURE_NUMBER_BYTES


def _asked_index(path: str) -> str | None:
    parts = path.split("/")
    return parts[3] if parts[1:3] == ["v1", "indexes"] and len(parts) == 5 else None


def _is_gradient(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(value.decode("latin-1").lower().startswith(SAFETENSORS) for value in types)
