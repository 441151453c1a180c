"""What is tried again, when, and how often: both clients against a scripted transport."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from byline.client import (
    NEVER,
    InvalidRequest,
    QuotaExceeded,
    Retries,
    ServiceFault,
    Unavailable,
    Unreachable,
)
from byline.client.calls import Call
from byline.client.errors import Conflict, InProgress
from byline.client.retries import Attempts, seconds_of


def listed():
    return httpx.Response(200, json={"data": [], "next": None, "has_more": False})


def problem(status, kind, **headers):
    document = {"type": f"urn:byline:problem:{kind}", "title": kind, "status": status, "detail": "why"}
    return httpx.Response(
        status, json=document, headers={"content-type": "application/problem+json", **headers}
    )


def test_retry_after_is_honoured(scripted, pauses):
    client, requests = scripted(
        problem(503, "overloaded", **{"retry-after": "7"}),
        problem(429, "quota", **{"retry-after": "2"}),
        listed(),
    )
    assert list(client.indexes()) == []
    assert pauses == [7, 2]
    assert len(requests) == 3


def test_pauses_double_where_nothing_is_said_and_the_attempts_are_bounded(scripted, pauses):
    client, requests = scripted(*[httpx.ConnectError("no")] * 5)
    with pytest.raises(Unreachable, match="5 attempts"):
        list(client.indexes())
    assert pauses == [1, 2, 4, 4]
    assert len(requests) == 5


def test_a_pause_beyond_the_total_is_not_begun(scripted, pauses):
    client, requests = scripted(problem(503, "overloaded", **{"retry-after": "61"}))
    with pytest.raises(Unavailable) as caught:
        list(client.indexes())
    assert caught.value.retry_after == 61
    assert pauses == []
    assert len(requests) == 1


def test_never(scripted, pauses):
    client, requests = scripted(problem(429, "quota"), retries=NEVER)
    with pytest.raises(QuotaExceeded):
        list(client.indexes())
    assert (len(requests), pauses) == (1, [])


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [(422, "invalid-input", InvalidRequest), (500, "internal", ServiceFault), (409, "conflict", Conflict)],
)
def test_what_would_come_again_is_not_tried_again(scripted, pauses, status, kind, error):
    client, requests = scripted(problem(status, kind, **{"retry-after": "1"}))
    with pytest.raises(error, match="why"):
        list(client.indexes())
    assert (len(requests), pauses) == (1, [])


def test_questions_are_sent_again_with_their_bodies(scripted, pauses):
    refused = problem(503, "unusable-index")
    client, requests = scripted(refused, httpx.ReadError("gone"), problem(422, "invalid-input"))
    with pytest.raises(InvalidRequest):
        client.attribute("some", {"text": "x"}, k=3)
    assert [json.loads(body) for _, body in requests] == [{"query": {"text": "x"}, "k": 3}] * 3


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


def test_retry_after_as_a_date():
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 28 <= seconds_of(format_datetime(then)) <= 30
    assert seconds_of("soon") is None
    assert seconds_of("²") is None
    assert seconds_of(None) is None
    assert seconds_of("12") == 12
