"""Streams of events are read by both clients, wherever the network cuts them."""

import asyncio

import httpx
import pytest

from byline.client import (
    NEVER,
    AsyncClient,
    Client,
    ClientError,
    NotFound,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from byline.client.calls import Call
from tests.byline.client.test_retries import listed

PROGRESS = (
    '{"stage": "search", "ahead": 0, "answered": 0, "questions": 1, "done": 0, "total": 0, "fraction": 0, "seconds": 1, '
    '"seconds_left": null}'
)
HEAD = f": still here\n\nevent: progress\ndata: {PROGRESS}\n\nevent: later\ndata: of another release\n\n"
LINE_SEPARATOR = "\u2028"  # no end of a line of events


class Cut(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, data, size):
        self._parts = [data[start : start + size] for start in range(0, len(data), size)]

    def __iter__(self):
        yield from self._parts

    async def __aiter__(self):
        for part in self._parts:
            yield part


def answered(kind, stream, size=7):
    """What a client makes of a stream, and the stages that it told."""
    told = []

    def respond(request):
        assert request.headers["accept"].startswith("text/event-stream")
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=Cut(stream.encode(), size))

    transport = httpx.MockTransport(respond)
    call = Call(method="GET", path="/x", read=bytes.decode, on_progress=lambda each: told.append(each.stage))
    if kind == "blocking":
        with httpx.Client(transport=transport) as http:
            return Client("http://test", retries=NEVER, http=http)._run(call), told

    async def run():
        async with httpx.AsyncClient(transport=transport) as http:
            return await AsyncClient("http://test", retries=NEVER, http=http)._run(call)

    return asyncio.run(run()), told


@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
class TestStreams:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_events_that_are_cut_anywhere(self, kind, size):
        stream = f"{HEAD}event: answer\ndata: 1{LINE_SEPARATOR}\ndata: \u00e9\n\nevent: cut"
        assert answered(kind, stream, size) == (f"1{LINE_SEPARATOR}\n\u00e9", ["search"])

    def test_an_end_without_an_answer(self, kind):
        with pytest.raises(Unreachable):
            answered(kind, f"{HEAD}event: answer\ndata: 1")

    def test_a_problem(self, kind):
        problem = '{"type": "urn:byline:problem:not-found", "status": 404, "detail": "no such index"}'
        with pytest.raises(NotFound, match="no such index"):
            answered(kind, f"{HEAD}event: problem\ndata: {problem}\n\n")

    def test_progress_that_is_none(self, kind):
        with pytest.raises(UnexpectedAnswer):
            answered(kind, "event: progress\ndata: {}\n\n")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": [{}]}'])
def test_what_is_no_answer_says_so(scripted, pauses, body):
    client, _ = scripted(httpx.Response(200, content=body))
    with pytest.raises(UnexpectedAnswer):
        list(client.indexes())


def test_a_proxys_page_is_not_repeated(scripted, pauses):
    client, _ = scripted(*[httpx.Response(502, content=b"<html>secret</html>")] * 5)
    with pytest.raises(Unavailable) as caught:
        list(client.indexes())
    assert "secret" not in str(caught.value)


def test_redirects_are_not_followed_with_the_key(scripted, pauses):
    client, requests = scripted(
        httpx.Response(302, headers={"location": "http://elsewhere.test/"}), key="byl_secret"
    )
    with pytest.raises(ClientError):
        list(client.indexes())
    assert len(requests) == 1
    assert requests[0][0].headers["authorization"] == "Bearer byl_secret"


def test_an_address_with_a_path_of_its_own(scripted):
    client, requests = scripted(listed(), url="https://proxy.test/byline/")
    list(client.indexes())
    assert str(requests[0][0].url) == "https://proxy.test/byline/v1/indexes"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "", "https://user:word@host", "https://h/?q=1"])
def test_addresses_that_are_none(twin, url):
    with pytest.raises(ValueError, match="address"):
        twin(url)


def test_keys_that_are_none_are_not_shown(twin):
    with pytest.raises(ValueError, match="key") as caught:
        twin(key="secret\nkey")
    assert "secret" not in str(caught.value)
