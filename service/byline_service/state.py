"""The state of a running service: one object that endpoints read from `request.app.state.service`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from byline.attribution.attributor import Attributor
    from byline_service.accounts.failed_logins import FailedLogins
    from byline_service.accounts.key_cache import KeyCache
    from byline_service.accounts.quotas import Quotas
    from byline_service.accounts.usage import UsageBuffer
    from byline_service.attributions.admission import Admission
    from byline_service.attributions.compute import ComputeThread, LoopCallbacks
    from byline_service.attributions.withheld import ConsentCache
    from byline_service.database import Database
    from byline_service.database.readiness import DatabaseReadiness
    from byline_service.http.problems import Failures
    from byline_service.idempotency import Attempt
    from byline_service.ledger.verify_job import Verifier
    from byline_service.observability.metrics import Metrics
    from byline_service.observability.tracing import Tracing
    from byline_service.settings import Settings
    from byline_service.signing.keys import KeyRing
    from byline_service.versions.directory import IndexDirectory
    from byline_service.versions.follower import Follower
    from byline_service.versions.registry import Registry
    from byline_service.versions.switcher import Switcher


@dataclass(kw_only=True)
class AppState:
    """References to the parts of one running service. `byline_service.app.build_state` wires them."""

    settings: "Settings"
    """The configuration."""
    metrics: "Metrics"
    """Prometheus counters and histograms."""
    tracing: "Tracing | None"
    """The tracer of requests. None where no collector is configured."""
    database: "Database"
    """The database of accounts, versions and the ledger."""
    database_readiness: "DatabaseReadiness"
    """Whether the database answers and is migrated."""
    accounts: "KeyCache"
    """The keys and their owners."""
    quotas: "Quotas"
    """Limits on requests and queries a minute."""
    usage: "UsageBuffer"
    """Usage that was counted and is not written yet."""
    failed_logins: "FailedLogins"
    """Failed logins that were counted and are not in the audit log yet."""
    admission: "Admission"
    """Limits on concurrent requests."""
    compute: "ComputeThread"
    """The thread that owns torch and FAISS."""
    failures: "Failures"
    """Writer of problem documents."""
    directories: "Mapping[str, IndexDirectory]"
    """Directories of the indexes that follow the database, by name."""
    versions: "Registry"
    """Versions that are served now, by name."""
    switcher: "Switcher"
    """Registers, verifies and switches versions."""
    follower: "Follower"
    """Keeps the served versions in step with the database."""
    keyring: "KeyRing"
    """The key that signs answers, and the keys whose receipts are accepted."""
    consents: "ConsentCache"
    """Works that answers do not list."""
    verifier: "Verifier"
    """Verification of the ledger."""
    in_progress: "set[Attempt]" = field(default_factory=set)
    """Requests with an `Idempotency-Key` that are being answered in this process."""
    callbacks: "LoopCallbacks" = field(init=False)
    """Calls from other threads into the event loop; set at the start of the lifespan."""
    ready: bool = False
    """Whether every index has answered its first query."""
    on_ready: Callable[[], None] = lambda: None
    """Called once all indexes are warm, before the service reports that it is ready."""

    @property
    def attributors(self) -> "dict[str, Attributor]":
        """Return the attributor that answers now under each name."""
        return {name: each.attributor for name, each in self.versions.served.items()}

    def owners(self) -> set[str]:
        """Return the owners of the served indexes."""
        return {owner for each in self.versions.served.values() for owner, _, _ in each.catalogue.owners}

    def own_name(self, name: str) -> str:
        """Return an index's own name for the name or an alias of it. A name that is not served stays as it is."""
        served = self.versions.served.get(name)
        return name if served is None else served.attributor.name

    def index_of(self, name: str) -> str:
        """Return the index behind a name: the name itself, or the index that an alias of that name points to.

        Raises:
            NotFound: No index and no alias has this name.
        """
        return name if name in self.directories else self.versions.current(name).attributor.name
