"""OpenTelemetry traces (`byline[otel]`): a span per request, with one for its wait and one per stage of its answer.

Tracing is off unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) names a collector. The SDK reads every
other `OTEL_...` variable itself. Spans hold names, counts and times, never bodies, queries or training text.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byline.api.answer import Answer
from byline.errors import InvalidInput
from byline.version import __version__
from byline_service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_UNTRACED = ("/livez", "/readyz", "/metrics", "/static/")
"""Paths that are requested every few seconds, or that do no work."""


class Tracing:
    """Creates spans.

    Args:
        provider: The OpenTelemetry provider that exports them.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("byline", __version__)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Create the tracer of the settings. None if no collector is configured.

        Raises:
            InvalidInput: A collector is configured, and the packages are not installed.
        """
        if settings.traces_endpoint is None:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise InvalidInput(
                "expected the packages of byline[otel], since OTEL_EXPORTER_OTLP_ENDPOINT names a collector, got none: "
                "install them, or leave the variable out"
            ) from None
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
        ours = Resource({"service.name": "byline", "service.version": __version__})
        provider = TracerProvider(
            resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def close(self) -> None:
        """Export the remaining spans."""
        self._provider.shutdown()

    def record_stages(self, answers: Sequence[Answer], submitted: Sequence[float]) -> None:
        """Add a span for each stage of the answers, with the current span as the parent.

        Stages follow one another, so each begins at the end of the one before. Questions that were answered in one batch
        share its times and get one set of spans.

        Args:
            answers: The answers of one request.
            submitted: Time at which each question was queued, in `time.monotonic` seconds.
        """
        batches: dict[str, tuple[float, Answer, int]] = {}
        for queued, answer in zip(submitted, answers, strict=True):
            key = answer.timings.model_dump_json()
            _, _, count = batches.get(key, (queued, answer, 0))
            batches[key] = (queued, answer, count + 1)
        since = time.time_ns() - time.monotonic_ns()
        for queued, answer, count in batches.values():
            start = since + int(queued * 1e9)
            for stage, milliseconds in answer.timings.model_dump().items():
                end = start + int(milliseconds * 1e6)
                if milliseconds:
                    span = self.tracer.start_span(f"byline.{stage}", start_time=start)
                    span.set_attributes(
                        {
                            "byline.index": answer.index,
                            "byline.version": answer.version,
                            "byline.questions": count,
                        }
                    )
                    span.end(end)
                start = end


class TracingMiddleware:
    """Wraps each request in a span. The client may name the parent span (`traceparent`).

    Args:
        app: The wrapped application.
        tracing: Creates the spans.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on inside its span."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        from opentelemetry import propagate, trace

        parent = propagate.extract(dict(Headers(scope=scope)))
        tracer = self._tracing.tracer
        with tracer.start_as_current_span("request", parent, kind=trace.SpanKind.SERVER) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _name_span(span, scope, message["status"])
                await send(message)

            trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            with structlog.contextvars.bound_contextvars(trace_id=trace_id):
                await self._app(scope, receive, send_noted)


def _name_span(span: "Span", scope: Scope, status: int) -> None:
    """Name the span after its route, by OpenTelemetry's conventions for HTTP servers."""
    from opentelemetry.trace import Status, StatusCode

    route = getattr(scope.get("route"), "path", "unmatched")
    span.update_name(f"{scope['method']} {route}")
    span.set_attributes(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": status,
            "url.scheme": scope["scheme"],
            "byline.request_id": scope.get("state", {}).get("request_id", ""),
        }
    )
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
