"""Calls are plain data, made without a socket."""

import json

import httpx
import pytest

from byline.client import (
    Retries,
    Unavailable,
    Unreachable,
)
from byline.client.attributions import attribute
from byline.client.calls import Call
from byline.client.retries import Attempts
from tests.byline.client.test_retries import _document


def test_what_does_more_the_second_time_is_sent_once():
    attempts = Attempts(Call(method="PUT", path="/v1/aliases/a", read=bytes), Retries())
    with pytest.raises(Unreachable):
        attempts.failed(httpx.ReadError("gone"))
    attempts = Attempts(Call(method="PUT", path="/v1/aliases/a", read=bytes), Retries())
    with pytest.raises(Unavailable):
        attempts.failed(Unavailable(_document(503), 1))


def test_flows_are_built_without_a_socket():
    flow = attribute("some", {"text": "x"}, shares=True)
    call = next(flow)
    assert call.path == "/v1/indexes/some/attributions"
    assert json.loads(b"".join(call.body.chunks())) == {"query": {"text": "x"}, "shares": True}
    assert call.repeatable
