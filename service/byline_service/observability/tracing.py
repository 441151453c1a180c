"""Traces by OpenTelemetry (`byline[otel]`): a span for each request, with one for its wait and for each stage of its answer.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) names a collector; the SDK reads every other `OTEL_...`
variable itself. Spans have names, counts and times; never bodies, queries or training text.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byline import __version__
from byline.api.answer import Answer
from byline.errors import InvalidInput
from byline_service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_UNTRACED = ("/livez", "/readyz", "/metrics", "/static/")
"""What is asked every few seconds, or holds no work."""


class Tracing:
    """Makes spans.

    Args:
        provider: Where they go.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("byline", __version__)

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """What the settings ask for; None where they name no collector.

        Raises:
            InvalidInput: They name one, and the packages are not installed.
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
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over ours.
        ours = Resource({"service.name": "byline", "service.version": __version__})
        provider = TracerProvider(
            resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def record_stages(self, answers: Sequence[Answer], submitted: Sequence[float]) -> None:
        """Add a span for each stage of the answers, with the current span as the parent.

        Stages follow one another, so each begins where the one before it ended. Questions that were answered in one batch
        share its times and get one set of spans.

        Args:
            answers: The answers of one request.
            submitted: When each question was queued, in `time.monotonic` seconds.
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


class TraceRequests:
    """Wraps each request in a span, whose parent the client may have named (`traceparent`).

    Args:
        app: What is wrapped.
        tracing: Makes the spans.
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
                    _note(span, scope, message["status"])
                await send(message)

            trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            with structlog.contextvars.bound_contextvars(trace_id=trace_id):
                await self._app(scope, receive, send_noted)


def _note(span: "Span", scope: Scope, status: int) -> None:
    """Name the span after its route, as OpenTelemetry's conventions for HTTP servers have it."""
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
