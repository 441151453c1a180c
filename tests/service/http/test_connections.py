"""A real server over sockets: whatever bytes come, no answer of 500, and the next client is answered as before."""

import json
import re
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from byline_service.http.connections import address_group
from tests.system import quick_days
from tests.system.fuzz import raw, valid
from tests.system.fuzz.shapes import Known, _smuggling
from tests.system.fuzz.wire import exchange
from tests.system.quick_days import QUICK_DAYS
from tests.system.serving import answer_without_timings, serving, tiny_index


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    settings = {"head_seconds": "3", "deadline_seconds": "6"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(QUICK_DAYS, str(time.time()))  # runs of finished days can be drafted
        with serving(tiny_index(folder), folder, module=quick_days.__name__, **settings) as running:
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
    assert set(sent.statuses) >= {200, 400, 404, 422}
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


LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "broken", [b"\x00\r\n\r\n", b"GET /livez HTTP/1.1\r\n\r\n", LIVE + b"Host: x\r\n\r\n"]
)
def test_what_came_before_a_broken_request_is_answered_first(served, broken):
    both = exchange(served.port, [LIVE + b"\r\n" + LIVE + b"\r\n" + broken])
    assert [reply.status for reply in both.replies] == [200, 200, 400]


def test_a_broken_chunk_is_the_answer_of_its_own_request(served):
    chunked = raw.known(served).head(
        b"POST", raw.known(served).ask, b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    )
    alone = exchange(served.port, [chunked + b"zz\r\n"])
    assert [reply.status for reply in alone.replies] == [400]
    behind = exchange(served.port, [LIVE + b"\r\n" + chunked + b"zz\r\n"])
    assert [reply.status for reply in behind.replies] == [200, 400]


@pytest.mark.parametrize("size", [60_000, 70_000])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_head_has_a_longest_length(served, size, pieces):
    head = LIVE + b"X-Long: " + b"a" * size + b"\r\nConnection: close\r\n\r\n"
    step = -(-len(head) // pieces)
    sent = [head[start : start + step] for start in range(0, len(head), step)]
    assert [reply.status for reply in exchange(served.port, sent).replies] == [200 if size < 65_536 else 400]


def test_an_upgrade_is_not_taken_up_and_ends_the_connection(served):
    asked = LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    replies = exchange(served.port, [asked + LIVE + b"\r\n"]).replies
    assert [reply.status for reply in replies] == [200]


def test_a_trailer_is_no_header(served):
    stranger = Known("tiny", raw.QUERY)
    head = stranger.head(
        b"POST", stranger.ask, b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    )
    trailer = b"0\r\nAuthorization: Bearer " + served.key.encode() + b"\r\n\r\n"
    assert [reply.status for reply in exchange(served.port, [head + trailer]).replies] == [401]


def test_a_connection_ends_after_a_body_that_was_refused_and_came_late(served):
    stranger = Known("tiny", raw.QUERY)
    head = stranger.head(b"POST", stranger.ask, b"Content-Type: application/json", b"Content-Length: 9")
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(head + b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"1234567")
        begun = time.monotonic()
        while connection.recv(1024):
            pass
        assert time.monotonic() - begun < 20


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_mistake(served):
    known = raw.known(served)
    for path in (known.ask, b"/login"):
        head = known.head(b"POST", path, b"Content-Type: application/json", b"Content-Length: 100")
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(head + b'{"key": ')
            time.sleep(0.1)
    time.sleep(0.3)
    _, metrics = served.get("/metrics")
    assert b'status="499"' in metrics
    assert b'status="500"' not in metrics
    assert "mistake" not in served.log.read_text()


def test_a_body_that_never_ends_is_answered_504(served):
    """Wherever it goes, its place inside is free again."""
    known = raw.known(served)
    for path in (known.ask, b"/login"):
        head = known.head(b"POST", path, b"Content-Type: application/json", b"Content-Length: 100")
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(head + b'{"key": ')
            assert connection.recv(100).startswith(b"HTTP/1.1 504 ")


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


CANARY = "c4n4ry"
UNKNOWN = "n4me_"


def marked(value):
    """The same document with a canary in every text, and with unknown fields, whose names a refusal may tell."""
    if isinstance(value, dict):
        return {UNKNOWN + name: marked(each) for name, each in value.items()} | {
            name: marked(each) for name, each in value.items()
        }
    if isinstance(value, list):
        return [marked(each) for each in value]
    return CANARY if isinstance(value, str) else value


def canaries(served):
    """Requests of each route with a canary at every place where a client can put something.

    Yields:
        Their bytes.
    """
    known = raw.known(served)
    stranger = Known(known.index, known.query)
    values = valid.Values(valid.settled(served))
    for method, path, operation in valid.operations(raw.document(served)):
        inside = path.format_map(dict.fromkeys(re.findall(r"{(\w+)}", path), CANARY)).encode()
        real = path.format_map(values).encode()
        body = json.dumps(
            marked(json.loads(valid.bodies(known).get(operation["operationId"], b"{}")))
        ).encode()
        for address in {inside, real}:
            lines = (
                b"Idempotency-Key: " + CANARY.encode(),
                b"X-Request-ID: " + CANARY.encode(),
                b"Connection: close",
            )
            for sender in (known, stranger):
                for content in (body, b'{"' + CANARY.encode() + b'": ', CANARY.encode()):
                    length = b"Content-Length: %d" % len(content)
                    head = sender.head(method, address, b"Content-Type: application/json", length, *lines)
                    yield head + content
                yield sender.head(method, address + b"?after=c4n4ry&limit=c4n4ry&c4n4ry=c4n4ry", *lines)
                yield sender.head(
                    method, address, b"Cookie: byline_session=c4n4ry.c4n4ry; c4n4ry=c4n4ry", *lines
                )
                yield sender.head(
                    method, address, b"Content-Type: c4n4ry/c4n4ry", b"User-Agent: c4n4ry", *lines
                )
    for value in (b"Bearer byl_c4n4ry", b"Bearer c4n4ry", b"Basic c4n4ry", b"c4n4ry"):
        yield stranger.get(b"/v1/indexes", b"Authorization: " + value)
    yield b"GET /c4n4ry HTTP/c4n4ry\r\n\r\n"
    yield stranger.get(b"/static/c4n4ry")
    yield stranger.head(b"GET", b"/livez", host=b"c4n4ry")


def test_neither_the_log_nor_a_refusal_repeats_what_came(served):
    sent = list(canaries(served))
    for request in sent:
        for reply in exchange(served.port, [request]).replies:
            if reply.status >= 400:
                assert CANARY not in reply.body.decode("latin-1"), (request, reply)
            assert CANARY not in str(reply.headers), (request, reply)
            assert reply.status != 500, (request, reply)
    assert len(sent) > 100
    written = served.log.read_text()
    assert CANARY not in written
    assert UNKNOWN not in written
    if served.key:
        assert served.key not in written


def test_what_is_stored_holds_no_key(served):
    """And nobody else on this machine may read it."""
    folder = served.log.parent / "data"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "secret").stat().st_mode & 0o177 == 0
    stored = [path for path in folder.rglob("*") if path.is_file()]
    assert len(stored) >= 2
    for path in stored:
        assert served.key.encode() not in path.read_bytes(), path
        assert served.key[16:48].encode() not in path.read_bytes(), path


OUTSIDE = (
    b"/v1/indexes/", b"//v1/indexes", b"/V1/INDEXES", b"/v1/indexes%2f", b"/v1%2findexes", b"/v1//indexes", b"/v1/indexes;x",
    b"/static/../v1/indexes", b"/static/%2e%2e/v1/indexes", b"/static/..%2fv1/indexes", b"/livez/../v1/indexes",
    b"/docs/../v1/indexes", b"/login/../v1/indexes", b"/%76%31/indexes", b"/v1/indexes%00", b"/v1/indexes/%74iny",
    b"/openapi.json/../v1/indexes", b"/./v1/indexes", b"/v1/./indexes", b"/v1/indexes?x=/livez", b"/v1/indexes#/livez",
    b"http://localhost/v1/indexes", b"http://localhost/static/../v1/indexes", b"/static/../../v1/indexes",
    b"/livez%2f..%2fv1/indexes",
    b"/v1/indexes\t", b"/livez/v1/indexes", b"/readyz%3fx/v1/indexes", b"/metrics/../v1/indexes", b"/static", b"/static/",
)  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_spelling_of_an_address_gets_past_the_guard(served, path):
    stranger = Known("tiny", raw.QUERY)
    for reply in exchange(served.port, [stranger.get(path)]).replies:
        assert reply.status in {303, 400, 401, 404, 405}, reply
        assert b"tiny" not in reply.body


def test_a_login_is_short(served):
    known = raw.known(served)
    head = known.head(b"POST", b"/login", b"Content-Type: application/json", b"Content-Length: 1025")
    assert [reply.status for reply in exchange(served.port, [head]).replies] == [413]


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_are_counted_by_client(address, group):
    assert address_group(address) == group


@pytest.fixture
def narrow(tmp_path):
    """A server that allows eight connections of an address, and a reader one second.

    Yields:
        The server.
    """
    limits = {"connections_per_address": "8", "write_seconds": "1"}
    with serving(tiny_index(tmp_path), tmp_path, **limits) as running:
        yield running


def test_an_address_has_a_number_of_connections_and_gets_them_back(narrow):
    with ExitStack() as opened:
        held = [opened.enter_context(_connected(narrow)) for _ in range(8)]
        for connection in held:
            connection.sendall(LIVE + b"\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        with _connected(narrow) as ninth, suppress(ConnectionError):
            ninth.sendall(LIVE + b"\r\n")
            assert ninth.recv(100) == b""
    end = time.monotonic() + 10
    while time.monotonic() < end and not exchange(narrow.port, [LIVE + b"\r\n"]).replies:
        time.sleep(0.05)
    _, metrics = narrow.get("/metrics")
    assert b'byline_connections_refused_total{cause="address"}' in metrics
    assert any(
        line["event"] == "connection closed" and line["client"] == "127.0.0.1" for line in _log(narrow)
    )


def test_a_reader_that_takes_no_bytes_is_closed_and_others_are_served(narrow):
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with _connected(narrow, receive=4096) as reader:
        reader.sendall(40 * asked)
        end, closed = time.monotonic() + 20, b'byline_connections_refused_total{cause="reader"} 1.0'
        while time.monotonic() < end and closed not in narrow.get("/metrics")[1]:
            time.sleep(0.1)
        assert closed in narrow.get("/metrics")[1]
        taken = 0
        with suppress(ConnectionError):
            while part := reader.recv(1 << 20):
                taken += len(part)
    assert taken < 20 * len(narrow.get("/openapi.json")[1])
    assert [reply.status for reply in exchange(narrow.port, [asked]).replies] == [200]


def test_a_request_is_logged_with_its_index_client_and_key(narrow):
    def asked():
        return [line for line in _log(narrow) if line.get("route") == "/v1/indexes/{name}"]

    narrow.get("/v1/indexes/tiny")
    narrow.get("/v1/indexes/words")
    end = time.monotonic() + 10
    while time.monotonic() < end and len(asked()) < 2:
        time.sleep(0.1)
    found, refused = asked()
    assert (found["client"], found["index"]) == ("127.0.0.1", "tiny")
    assert found["key_id"]
    assert "index" not in refused
    assert "words" not in narrow.log.read_text()


def _connected(served, receive=None):
    connection = socket.socket()
    if receive is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", served.port))
    return connection


def _log(served):
    return [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
