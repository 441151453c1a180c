"""What is tried again, when, and how often: both clients against a scripted transport."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from byline.client import (
    NEVER,
    ClientError,
    InvalidRequest,
    QuotaExceeded,
    Retries,
    ServiceFault,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from byline.client.attributions import attribute
from byline.client.calls import Call
from byline.client.errors import Conflict, InProgress
from byline.client.retries import Attempts, seconds_of

PAUSE = Retries(first_seconds=1.0, longest_seconds=4.0, total_seconds=60.0)


def listed():
    return httpx.Response(200, json={"indexes": []})


def problem(status, kind, **headers):
    document = {"type": f"urn:byline:problem:{kind}", "title": kind, "status": status, "detail": "why"}
    return httpx.Response(
        status, json=document, headers={"content-type": "application/problem+json", **headers}
    )


@pytest.fixture
def pauses(monkeypatch):
    """Seconds of the pauses, which take no time."""
    taken = []

    async def sleep(seconds):
        if seconds:
            taken.append(seconds)

    monkeypatch.setattr("byline.client.synchronous.time.sleep", taken.append)
    monkeypatch.setattr("byline.client.asynchronous.anyio.sleep", sleep)
    monkeypatch.setattr("byline.client.retries.random.random", lambda: 0.0)
    return taken


@pytest.fixture
def scripted(twin):
    """A client whose requests are answered by a script."""

    def make(*script, **options):
        left, requests = list(script), []

        def answer(request):
            requests.append((request, request.content))
            step = left.pop(0)
            if isinstance(step, Exception):
                raise step
            return step

        def answer_now(request):
            request.read()
            return answer(request)

        async def answer_awaited(request):
            await request.aread()
            return answer(request)

        made = twin(transport=_Transport(answer_now, answer_awaited), **{"retries": PAUSE, **options})
        return made, requests

    return make


class _Transport(httpx.MockTransport):
    def __init__(self, answer, answer_awaited):
        super().__init__(answer)
        self._awaited = answer_awaited

    async def handle_async_request(self, request):
        return await self._awaited(request)


def test_retry_after_is_honoured(scripted, pauses):
    client, requests = scripted(
        problem(503, "overloaded", **{"retry-after": "7"}),
        problem(429, "quota", **{"retry-after": "2"}),
        listed(),
    )
    assert client.indexes() == []
    assert pauses == [7, 2]
    assert len(requests) == 3


def test_pauses_double_where_nothing_is_said_and_the_attempts_are_bounded(scripted, pauses):
    client, requests = scripted(*[httpx.ConnectError("no")] * 5)
    with pytest.raises(Unreachable, match="5 attempts"):
        client.indexes()
    assert pauses == [1, 2, 4, 4]
    assert len(requests) == 5


def test_a_pause_beyond_the_total_is_not_begun(scripted, pauses):
    client, requests = scripted(problem(503, "overloaded", **{"retry-after": "61"}))
    with pytest.raises(Unavailable) as caught:
        client.indexes()
    assert caught.value.retry_after == 61
    assert pauses == []
    assert len(requests) == 1


def test_never(scripted, pauses):
    client, requests = scripted(problem(429, "quota"), retries=NEVER)
    with pytest.raises(QuotaExceeded):
        client.indexes()
    assert (len(requests), pauses) == (1, [])


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [(422, "invalid-input", InvalidRequest), (500, "internal", ServiceFault), (409, "conflict", Conflict)],
)
def test_what_would_come_again_is_not_tried_again(scripted, pauses, status, kind, error):
    client, requests = scripted(problem(status, kind, **{"retry-after": "1"}))
    with pytest.raises(error, match="why"):
        client.indexes()
    assert (len(requests), pauses) == (1, [])


def test_questions_are_sent_again_with_their_bodies(scripted, pauses):
    refused = problem(503, "unusable-index")
    client, requests = scripted(refused, httpx.ReadError("gone"), problem(422, "invalid-input"))
    with pytest.raises(InvalidRequest):
        client.attribute("some", {"text": "x"}, k=3)
    assert [json.loads(body) for _, body in requests] == [{"query": {"text": "x"}, "k": 3}] * 3


def test_what_does_more_the_second_time_is_sent_once():
    attempts = Attempts(Call(method="PUT", path="/v1/aliases/a", read=bytes), Retries())
    with pytest.raises(Unreachable):
        attempts.failed(httpx.ReadError("gone"))
    attempts = Attempts(Call(method="PUT", path="/v1/aliases/a", read=bytes), Retries())
    with pytest.raises(Unavailable):
        attempts.failed(Unavailable(_document(503), 1))


def test_a_repeated_key_that_is_still_at_work_is_waited_for():
    attempts = Attempts(Call(method="POST", path="/v1/events", read=bytes, repeatable=True), Retries())
    working = InProgress(_document(409, "urn:byline:problem:in-progress"), 3)
    assert 3 <= attempts.failed(working) <= 3.75


def _document(status, kind="urn:byline:problem:overloaded"):
    from byline.client.errors import ProblemDocument

    return ProblemDocument(type=kind, status=status)


def test_a_stream_that_breaks_off_is_asked_for_again(scripted, pauses):
    def stream(*events):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content="".join(events))

    progress = {"stage": "queue", "ahead": 0, "answered": 0, "questions": 1, "done": 0, "total": 0}
    told = f"event: progress\ndata: {json.dumps(progress | {'fraction': 0, 'seconds': 0.1, 'seconds_left': None})}\n\n"
    refused = (
        'event: problem\ndata: {"type":"urn:byline:problem:invalid-input","status":422,"detail":"why"}\n\n'
    )
    client, requests = scripted(stream(told), stream(": still here\n\n", told, refused))
    seen = []
    with pytest.raises(InvalidRequest, match="why"):
        client.attribute("some", {"text": "x"}, on_progress=seen.append)
    assert len(requests) == 2
    assert requests[0][0].headers["accept"].startswith("text/event-stream")
    assert [each.stage for each in seen] == ["queue", "queue"]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"indexes": [{}]}'])
def test_what_is_no_answer_says_so(scripted, pauses, body):
    client, _ = scripted(httpx.Response(200, content=body))
    with pytest.raises(UnexpectedAnswer):
        client.indexes()


def test_a_proxys_page_is_not_repeated(scripted, pauses):
    client, _ = scripted(*[httpx.Response(502, content=b"<html>secret</html>")] * 5)
    with pytest.raises(Unavailable) as caught:
        client.indexes()
    assert "secret" not in str(caught.value)


def test_redirects_are_not_followed_with_the_key(scripted, pauses):
    client, requests = scripted(
        httpx.Response(302, headers={"location": "http://elsewhere.test/"}), key="byl_secret"
    )
    with pytest.raises(ClientError):
        client.indexes()
    assert len(requests) == 1
    assert requests[0][0].headers["authorization"] == "Bearer byl_secret"


def test_an_address_with_a_path_of_its_own(scripted):
    client, requests = scripted(listed(), url="https://proxy.test/byline/")
    client.indexes()
    assert str(requests[0][0].url) == "https://proxy.test/byline/v1/indexes"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "", "https://user:word@host", "https://h/?q=1"])
def test_addresses_that_are_none(twin, url):
    with pytest.raises(ValueError, match="address"):
        twin(url)


def test_keys_that_are_none_are_not_shown(twin):
    with pytest.raises(ValueError, match="key") as caught:
        twin(key="secret\nkey")
    assert "secret" not in str(caught.value)


def test_retry_after_as_a_date():
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 28 <= seconds_of(format_datetime(then)) <= 30
    assert seconds_of("soon") is None
    assert seconds_of("²") is None
    assert seconds_of(None) is None
    assert seconds_of("12") == 12


def test_flows_are_built_without_a_socket():
    flow = attribute("some", {"text": "x"}, shares=True)
    call = next(flow)
    assert call.path == "/v1/indexes/some/attributions"
    assert json.loads(b"".join(call.body.chunks())) == {"query": {"text": "x"}, "shares": True}
    assert call.repeatable
