"""Refusals are errors of their kind."""

import random

import pytest

from byline.client import InvalidRequest, NotFound, ServiceError, TooLarge
from byline.errors import InvalidQuery
from byline.errors import NotFound as OfflineNotFound
from tests.byline.client.test_attributions import QUERY


def test_refusals_are_errors_of_their_kind(client):
    with pytest.raises(NotFound) as caught:
        client.attribute("another", QUERY)
    assert isinstance(caught.value, OfflineNotFound)
    assert (caught.value.status, caught.value.kind) == (404, "not-found")
    assert caught.value.request_id
    with pytest.raises(InvalidRequest, match="x"):
        client.attribute("ensemble", {"x": [1.0]})
    with pytest.raises(TooLarge):
        client.attribute("ensemble", {"x": [random.random()] * 100_000})
    with pytest.raises(ServiceError):
        client.attribute("groups", {"x": [1.0]}, on_progress=lambda _: None)
    with pytest.raises(InvalidQuery, match="JSON"):
        client.attribute("ensemble", {"x": [float("nan")] * 6})
