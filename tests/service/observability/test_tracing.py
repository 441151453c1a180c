"""Spans of requests: named by their routes, with the wait and the stages inside, and no word of what was asked."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from byline.errors import InvalidInput
from byline_service.app import create_app
from byline_service.observability.tracing import Tracing
from byline_service.settings import Settings
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, prepared

ASK = "/v1/indexes/fake/attributions"


@pytest.fixture
def traced(tmp_path):
    """An application whose spans are kept in memory.

    Yields:
        Its client, and a function that returns the spans by name.
    """
    provider, memory = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    app = create_app(prepared(tmp_path), {"fake": fake_attributor()[0]}, tracing=Tracing(provider))
    with TestClient(app, base_url="http://localhost", headers=bearer(admin_key())) as client:
        client.get("/v1/indexes")  # the first query of `warm` is over
        memory.clear()
        yield client, lambda: {span.name: span for span in memory.get_finished_spans()}


def test_a_request_its_wait_and_its_stages(traced):
    client, spans = traced
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = client.post(ASK, json={"query": {"text": "hidden"}}, headers={"traceparent": parent})
    found = spans()
    request = found.pop("POST /v1/indexes/{name}/attributions")
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["byline.request_id"] == response.headers["x-request-id"]
    assert f"{request.context.trace_id:032x}" == parent.split("-")[1]
    assert f"{request.parent.span_id:016x}" == parent.split("-")[2]
    assert {"byline.queue", "byline.gradient", "byline.search", "byline.join"} <= set(found)
    timings = response.json()["timings"]
    for name, span in found.items():
        assert span.parent.span_id == request.context.span_id
        assert (span.end_time - span.start_time) / 1e6 == pytest.approx(timings[name[7:]], abs=0.001)
        assert request.start_time <= span.start_time
    ordered = sorted(found.values(), key=lambda span: span.start_time)
    for one, other in pairwise(ordered):
        assert one.end_time <= other.start_time + 1000
    written = "".join(span.to_json() for span in [request, *found.values()])
    assert "hidden" not in written


def test_a_batch_has_one_set_of_stages_for_each_batch_that_answered(traced):
    client, spans = traced
    client.post(ASK, json={"queries": [{"text": text} for text in "abcd"]})
    assert spans()["byline.search"].attributes["byline.questions"] <= 4
    assert spans()["POST /v1/indexes/{name}/attributions"].status.is_unset


def test_failures_and_health(traced):
    client, spans = traced
    assert client.post("/v1/indexes/other/attributions", json={"query": {"text": "x"}}).status_code == 404
    assert client.get("/livez").status_code == 200
    assert client.get("/metrics").status_code == 200
    (only,) = spans().values()
    assert only.attributes["http.response.status_code"] == 404


def test_tracing_is_off_unless_a_collector_is_named(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert Tracing.from_settings(Settings()) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    settings = Settings()
    assert settings.traces_endpoint == "http://127.0.0.1:9"
    assert Settings.model_validate(settings.model_dump()) == settings
    tracing = Tracing.from_settings(settings)
    resource = tracing._provider.resource.attributes
    assert resource["service.name"] == "byline"
    tracing.close()


def test_spans_reach_a_collector(monkeypatch, tmp_path):
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, self.headers["content-type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        settings = prepared(tmp_path)
        app = create_app(settings, {"fake": fake_attributor()[0]}, tracing=Tracing.from_settings(settings))
        with TestClient(app, base_url="http://localhost", headers=bearer(admin_key())) as client:
            assert client.post(ASK, json={"query": {"text": "hidden"}}).status_code == 200
        collector.shutdown()
    path, kind, body = received[0]
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert b"byline.search" in body
    assert b"hidden" not in body


def test_the_services_name_may_be_the_operators(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "attribution")
    tracing = Tracing.from_settings(Settings())
    assert tracing._provider.resource.attributes["service.name"] == "attribution"
    tracing.close()


def test_a_collector_without_the_packages_is_a_mistake(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InvalidInput, match=r"byline\[otel\]"):
        Tracing.from_settings(Settings())
