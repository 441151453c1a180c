"""Refusals are errors of their kind."""

import json
import random

import pytest

from byline import errors as offline_errors
from byline.client import (
    ClientError,
    Conflict,
    InvalidRequest,
    NotFound,
    NotPayable,
    ServiceError,
    StaleAlias,
    TooLarge,
)
from byline.client import errors as client_errors
from byline.client.errors import error_of
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


def client_classes():
    """Every class of the client's tree, by name."""
    found, waiting = {}, [ClientError]
    while waiting:
        each = waiting.pop()
        found[each.__name__] = each
        waiting += [child for child in each.__subclasses__() if child.__module__ == client_errors.__name__]
    return found


def test_each_class_inherits_the_offline_class_of_its_name():
    shared = {name: each for name, each in client_classes().items() if hasattr(offline_errors, name)}
    assert {"NotPayable", "StaleAlias", "InProgress", "Conflict", "NotFound", "DiskFull"} <= shared.keys()
    for name, each in shared.items():
        assert issubclass(each, getattr(offline_errors, name)), name


@pytest.mark.parametrize(
    ("status", "kind", "expected", "offline"),
    [
        (412, "precondition-failed", StaleAlias, offline_errors.StaleAlias),
        (409, "conflict", Conflict, offline_errors.Conflict),
        (422, "not-payable", NotPayable, offline_errors.NotPayable),
    ],
)
def test_a_problem_is_the_error_that_offline_code_handles(status, kind, expected, offline):
    document = {"type": f"urn:byline:problem:{kind}", "status": status, "detail": "no_interval"}
    error = error_of(json.dumps(document).encode())
    assert type(error) is expected
    assert isinstance(error, offline)
    assert (str(error), error.status, error.kind) == ("no_interval", status, kind)


def test_a_refused_payment_has_no_codes():
    assert error_of(b'{"type": "urn:byline:problem:not-payable", "status": 422}').reasons == ()
