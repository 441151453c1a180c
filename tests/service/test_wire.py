"""A real server over sockets: whatever bytes come, no answer of 500, and the next client is answered as before."""

import json
import socket
import time

import pytest

from benchmarks.fuzz import raw
from benchmarks.fuzz.served import answer_without_timings, serving, tiny_index
from benchmarks.fuzz.shapes import _smuggling
from benchmarks.fuzz.wire import exchange


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    with serving(tiny_index(folder), folder, head_seconds="3") as running:
        yield running


def test_broken_shapes(served):
    before = answer_without_timings(served)
    sent = raw.send_shapes(served)
    assert not sent.failures, "\n".join(f"{name}: {words}" for name, words in sent.failures.items())
    assert sent.requests > 400
    assert answer_without_timings(served) == before


def test_mutations_of_valid_requests(served):
    before = answer_without_timings(served)
    sent = raw.send_mutations(served, seed=4, count=600)
    assert not sent.failures, "\n".join(f"{name}: {words}" for name, words in sent.failures.items())
    assert set(sent.statuses) >= {200, 400, 404, 405, 422}
    assert answer_without_timings(served) == before


def test_the_log_holds_no_errors(served):
    """Runs after the tests above; on its own it holds for the start."""
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
    assert lines
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


def test_a_body_of_two_lengths_ends_the_connection(served):
    """One that a proxy reads in another way than the server could hide a request of another client in it."""
    both = {name: pieces for name, *pieces in _smuggling(raw.known(served)) if "and length" in name}
    both |= {name: pieces for name, *pieces in _smuggling(raw.known(served)) if "length and" in name}
    assert len(both) == 2
    for pieces in both.values():
        assert [reply.status for reply in exchange(served.port, pieces).replies] == [400]


@pytest.mark.parametrize("sent", [b"", b"GET /li", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li"])
def test_a_head_that_never_ends_loses_its_connection(served, sent):
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(sent)
        begun, received = time.monotonic(), b""
        try:
            while chunk := connection.recv(1024):
                received += chunk
        except ConnectionResetError:
            pass
        assert time.monotonic() - begun < 20
    assert received.count(b"HTTP/1.1 200") == (b"\r\n\r\n" in sent)
