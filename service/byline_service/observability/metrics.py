"""Prometheus metrics, in a registry of their own: one process can hold several applications."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from byline.api.answer_parts import Timings

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_QUERIES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters and histograms of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "byline_requests", "Requests", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "byline_request_seconds",
            "Duration of a request",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "byline_stage_seconds",
            "Duration of a stage of an answer, as in its timings",
            ["index", "stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "byline_batch_queries",
            "Queries computed together",
            ["index"],
            buckets=_QUERIES,
            registry=self.registry,
        )
        self._dropped = Counter(
            "byline_dropped", "Queries dropped before they were computed", registry=self.registry
        )
        self._connections_refused = Counter(
            "byline_connections_refused",
            "Connections closed by the server, by cause: address (too many of one), reader (takes no bytes)",
            ["cause"],
            registry=self.registry,
        )
        self.inside = Gauge("byline_requests_inside", "Requests admitted now", registry=self.registry)

        self.events = Counter("byline_events", "Events booked", ["index"], registry=self.registry)
        self.loaded = Gauge("byline_versions_loaded", "Versions in memory", registry=self.registry)
        self._switches = Counter(
            "byline_alias_switches",
            "Switches of an alias to another version",
            ["alias"],
            registry=self.registry,
        )
        self._unusable = Counter(
            "byline_unusable",
            "Versions found unservable or damaged",
            ["index", "state"],
            registry=self.registry,
        )

        self._quota_refused = Counter(
            "byline_quota_refused", "Requests beyond their key's quota", ["kind"], registry=self.registry
        )
        self._database_errors = Counter(
            "byline_database_errors",
            "Failed transactions, by cause: unavailable, full",
            ["kind"],
            registry=self.registry,
        )

        self._missed_heads = Counter(
            "byline_heads_not_noted",
            "Heads of the journal that could not be noted, by place: database, file, webhook",
            ["place"],
            registry=self.registry,
        )

    def count_missed_head(self, place: str) -> None:
        """Count a head of the journal that could not be noted."""
        self._missed_heads.labels(place).inc()

    def count_quota_refusal(self, kind: str) -> None:
        """Count a request that exceeds its key's quota of requests or queries."""
        self._quota_refused.labels(kind).inc()

    def count_refused_connection(self, cause: str) -> None:
        """Count a connection that was closed: `address` has too many, or its `reader` takes no bytes."""
        self._connections_refused.labels(cause).inc()

    def count_database_error(self, kind: str) -> None:
        """Count a failed transaction."""
        self._database_errors.labels(kind).inc()

    def count_switch(self, alias: str) -> None:
        """Count a switch of an alias in this process."""
        self._switches.labels(alias).inc()

    def count_unusable(self, index: str, state: str) -> None:
        """Count a version that this process found unusable."""
        self._unusable.labels(index, state).inc()

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a finished request."""
        known = method if method in {"GET", "HEAD", "POST"} else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, index: str, timings: Timings) -> None:
        """Record the stages of an answer."""
        for stage, milliseconds in timings.model_dump().items():
            self._stages.labels(index, stage).observe(milliseconds / 1e3)

    def count_batch(self, index: str, queries: int, dropped: int) -> None:
        """Count a batch, and the queries that were dropped from it."""
        if queries:
            self._batches.labels(index).observe(queries)
        self._dropped.inc(dropped)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
