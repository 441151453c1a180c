"""Whatever comes in: a 4xx problem document that repeats none of it, never a 500, and the server goes on."""

import json
import socket

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, prepared
from tests.service.live import listening

ASK = "/v1/indexes/fake/attributions"
MARK = "s3cr3t-content"
JSON = {"content-type": "application/json"}
TENSORS = {"content-type": "application/vnd.safetensors"}


def refused(response, *statuses):
    assert response.status_code in statuses, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert all(set(part) - {"pointer", "parameter"} == {"detail"} for part in problem.get("errors", []))
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:byline:problem:")
    assert MARK not in response.text
    return problem


BODIES = {
    "empty": b"",
    "nothing but spaces": b"   ",
    "NaN": b'{"feature": [NaN]}',
    "NaN in a query": b'{"query": {"text": NaN}}',
    "infinity": b'{"feature": [Infinity]}',
    "1e999": b'{"feature": [1e999]}',
    "-1e999 in a query": b'{"query": {"text": "x", "label": -1e999}}',
    "deep list": b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"query": ' * 5_000 + b"1" + b"}" * 5_000,
    "just deep enough": b'{"query": {"text": ' + b"[" * 190 + b"]" * 190 + b"}}",
    "lone surrogate": b'{"query": {"text": "\\ud800"}}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "invalid UTF-8": b'{"query": {"text": "\xff\xfe"}}',
    "UTF-16": '{"query": {"text": "x"}}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"query": {"text": "x"}}',
    "huge k": b'{"query": {"text": "x"}, "k": 1' + b"0" * 400 + b"}",
    "huger k": b'{"query": {"text": "x"}, "k": 1' + b"0" * 10_000 + b"}",
    "huge feature": b'{"feature": [1' + b"0" * 400 + b"]}",
    "large k": b'{"query": {"text": "x"}, "k": 1001}',
    "k of zero": b'{"query": {"text": "x"}, "k": 0}',
    "k of a half": b'{"query": {"text": "x"}, "k": 0.5}',
    "k of text": b'{"query": {"text": "x"}, "k": "5"}',
    "k of a boolean": b'{"query": {"text": "x"}, "k": true}',
    "members of text": b'{"query": {"text": "x"}, "members": "yes"}',
    "shares of a number": b'{"query": {"text": "x"}, "shares": 1}',
    "target of a number": b'{"query": {"text": "x"}, "target": 1}',
    "feature of digits": json.dumps({"feature": ["1"] * 18}).encode(),
    "feature of booleans": json.dumps({"feature": [True] * 18}).encode(),
    "no object": b"[]",
    "no form": b"{}",
    "two forms": b'{"query": {"text": "x"}, "feature": [1]}',
    "batch and query": b'{"query": {"text": "x"}, "queries": [{"text": "x"}]}',
    "empty batch": b'{"queries": []}',
    "empty set": b'{"query_set": []}',
    "many queries": json.dumps({"queries": [{"text": "x"}] * 65}).encode(),
    "unknown field": b'{"colour": "s3cr3t-content", "query": {"text": "x"}}',
    "unknown field in the query": b'{"query": {"text": "x", "colour": "s3cr3t-content"}}',
    "wrong type": b'{"query": {"text": ["s3cr3t-content"]}}',
    "empty text": b'{"query": {"text": ""}}',
    "long text": json.dumps({"query": {"text": MARK * 100}}).encode(),
    "label out of range": b'{"query": {"text": "x", "label": 12}}',
    "unknown target": b'{"query": {"text": "x"}, "target": "s3cr3t-content"}',
    "target of a feature": b'{"feature": [1], "target": "loss"}',
    "short feature": b'{"feature": [1, 2]}',
    "feature of text": b'{"feature": ["s3cr3t-content"]}',
    "feature that overflows": json.dumps({"feature": [1e300] * 18}).encode(),
    "unknown direction": b'{"query": {"text": "x"}, "direction": "s3cr3t-content"}',
    "unknown filter": b'{"query": {"text": "x"}, "filter": {"colour": ["s3cr3t-content"]}}',
    "wrong filter": b'{"query": {"text": "x"}, "filter": {"owner": "s3cr3t-content"}}',
    "refused by the task": b'{"query": {"text": "refused"}}',
    "model fails on it": b'{"query": {"text": "boom", "label": 1}}',
    "model fails on one of a batch": b'{"queries": [{"text": "a"}, {"text": "boom"}]}',
    "duplicate keys, last wrong": b'{"query": {"text": "x"}, "query": 1}',
    "trailing comma": b'{"query": {"text": "x"},}',
    "two documents": b'{"query": {"text": "x"}}{}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_bodies_are_problems_and_the_server_goes_on(served, name):
    refused(served.client.post(ASK, content=BODIES[name], headers=JSON), 422)
    refused(served.client.post("/v1/indexes/fake/shares", content=BODIES[name], headers=JSON), 422)
    assert served.client.post(ASK, json={"query": {"text": "x"}}).status_code == 200


def test_the_messages_say_what_is_wrong(served):
    def detail(body):
        return refused(served.client.post(ASK, json=body), 422)["detail"]

    assert detail({"query": {"text": ""}}) == (
        "expected a valid query: text: expected text of at least 1 character"
    )
    assert detail({"query": {"text": "x", "lable": 1}}) == (
        "expected a valid query: lable: unknown field, did you mean 'label'?"
    )
    assert "colour: unknown field, expected " in detail({"query": {"text": "x"}, "colour": 1})
    assert "query, query_set, gradient and feature, got 0" in detail({})
    assert "loss, margin" in detail({"query": {"text": "x"}, "target": "other"})
    assert "18 numbers" in detail({"feature": [1.0]})


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_content_types_are_415(served, kind):
    headers = {"content-type": kind} if kind else {}
    refused(served.client.post(ASK, content=b'{"query": {"text": "x"}}', headers=headers), 415)
    refused(served.client.post("/v1/indexes/fake/shares", content=b"{}", headers=TENSORS), 415)


def test_large_bodies_are_413_with_and_without_a_length(served):
    body = b'{"query": {"text": "' + b"x" * (50 << 20) + b'"}}'
    refused(served.client.post(ASK, content=body, headers=JSON), 413)
    refused(served.client.post(ASK, content=body, headers=TENSORS), 413)
    sent = []

    def chunks():
        for start in range(0, len(body), 1 << 16):
            sent.append(start)
            yield body[start : start + (1 << 16)]

    refused(served.client.post(ASK, content=chunks(), headers=JSON), 413)
    for length in ("1" + "0" * 400, "-1", "x"):
        refused(served.client.post(ASK, content=b"{}", headers=JSON | {"content-length": length}), 413)


def good_tensors():
    return {f"c0-m{m}/w": torch.ones(6) for m in range(3)}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", f"/v1/indexes/{MARK}", 404),
        ("POST", f"/v1/indexes/{MARK}/attributions", 404),
        ("GET", f"/v1/indexes/fake/examples/{MARK}", 404),
        ("GET", "/v1/indexes/fake/examples/", 404),
        ("GET", "/v1/indexes/fake/examples/%00", 404),
        ("GET", "/v1/indexes/fake/examples/%ff%fe", 404),
        ("GET", "/v1/indexes/fake/examples/../../../etc/passwd", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("GET", ASK, 405),
        ("DELETE", "/v1/indexes/fake", 405),
        ("POST", "/livez", 405),
        ("PUT", ASK, 405),
        ("GET", f"/v1/indexes/fake/examples?after={MARK}", 422),
        ("GET", "/v1/indexes/fake/examples?after=MDEyMzQ1Njc4OWFiOjk5OTk5", 422),
        ("GET", "/v1/indexes/fake/examples?after=b3RoZXI6MQ", 422),
        ("GET", "/v1/indexes/fake/examples?after=%F0%9F%98%80", 422),
        ("GET", "/v1/indexes/fake/examples?limit=0", 422),
        ("GET", "/v1/indexes/fake/self-influence?limit=1" + "0" * 400, 422),
        ("GET", "/v1/indexes/fake/examples?limit=NaN", 422),
    ],
)
def test_bad_addresses(served, method, path, status):
    response = served.client.request(
        method, path, json={"query": {"text": "x"}} if method == "POST" else None
    )
    refused(response, status)
    if status == 405:
        assert response.headers["allow"]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ["query", "queries", "query_set", "feature", "target", "k", "direction", "filter", "members"]
)
almost = st.dictionaries(names, values | st.just({"text": "x"}) | st.just([1.0] * 18), max_size=4)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    from starlette.testclient import TestClient

    from byline_service.app import create_app
    from tests.service.fakes import fake_attributor
    from tests.service.keys import admin_key, bearer, prepared

    app = create_app(prepared(tmp_path_factory.mktemp("data")), {"fake": fake_attributor()[0]})
    headers = bearer(admin_key())
    with TestClient(
        app, base_url="http://localhost", raise_server_exceptions=False, headers=headers
    ) as client:
        yield client


def fine(response):
    if response.status_code != 200:
        refused(response, 413, 415, 422)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=almost | values)
def test_no_json_gives_a_500(client, body):
    text = json.dumps(body)  # NaN and infinity are written as such
    fine(client.post(ASK, content=text.encode(), headers=JSON))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_no_bytes_give_a_500(client, body):
    fine(client.post(ASK, content=body, headers=JSON))
    fine(client.post(ASK, content=body, headers=TENSORS))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 250), byte=st.integers(0, 255))
def test_no_changed_byte_of_a_gradient_gives_a_500(client, position, byte):
    body = bytearray(save(good_tensors()))
    body[position % len(body)] = byte
    fine(client.post(ASK, content=bytes(body), headers=TENSORS))


def test_the_refusal_of_a_large_body_reaches_a_client_that_sends_all_of_it_first(tmp_path):
    """A connection that is closed with bytes unread is reset, and an answer on its way is lost with it."""
    app = create_app(prepared(tmp_path), {"fake": fake_attributor()[0]})
    head = f"POST {ASK} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin_key()}\r\n"
    body = b"x" * (32 << 20)
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with listening(app) as address:
        for _ in range(3):
            host, port = address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=20) as sending:
                sending.sendall(head.encode() + body)
                assert sending.recv(1 << 16).startswith(b"HTTP/1.1 413")
