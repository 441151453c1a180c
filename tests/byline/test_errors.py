"""Faults: pointers into an input (RFC 6901), alone and as part of another input."""

import pytest
from pydantic import BaseModel

from byline.api.validation import SHOWN, validated
from byline.errors import Fault, InvalidQuery


class Part(BaseModel, extra="forbid"):
    count: int


class Whole(BaseModel, extra="forbid"):
    """Names with the characters that a pointer writes otherwise."""

    parts: list[Part] = []
    odd: dict[str, int] = {}


@pytest.mark.parametrize(
    ("pointer", "moved"),
    [
        ("/query", "/queries/3"),
        ("/query/text", "/queries/3/text"),
        ("/query/0/text", "/queries/3/0/text"),
        ("", "/queries/3"),
        ("/query_set/1", "/queries/3/query_set/1"),
    ],
)
def test_a_fault_moves_with_its_input(pointer, moved):
    assert Fault(pointer, "expected text").under("/query", "/queries/3") == Fault(moved, "expected text")


def test_a_query_without_known_faults_has_none():
    assert InvalidQuery("expected a query").faults == ()
    assert InvalidQuery("expected a query", [Fault("", "x")]).faults == (Fault("", "x"),)


def faults(value, pointer=""):
    with pytest.raises(InvalidQuery) as raised:
        validated(Whole, value, "body", pointer)
    assert all("s3cr3t" not in each.pointer + each.detail for each in raised.value.faults)
    return [each.pointer for each in raised.value.faults]


def test_faults_point_to_the_wrong_parts():
    assert faults({"parts": [{"count": 1}, {"count": "s3cr3t"}]}) == ["/parts/1/count"]
    assert faults({"parts": [{}, {"count": None}]}) == ["/parts/0/count", "/parts/1/count"]
    assert faults({"parts": "s3cr3t"}) == ["/parts"]


def test_a_pointer_ends_before_a_name_that_the_client_invented():
    assert faults({"s3cr3t": 1}) == [""]
    assert faults({"parts": [{"count": 1, "s3cr3t/~": 2}]}) == ["/parts/0"]
    assert faults({"odd": {"s3cr3t": "x"}}) == ["/odd"]


def test_a_payload_inside_of_an_input_has_the_pointer_of_its_place():
    assert faults({"parts": [{"count": "s3cr3t"}]}, "/query") == ["/query/parts/0/count"]


def test_few_faults_are_told():
    assert len(faults({"parts": [{"count": "s3cr3t"}] * 50})) == SHOWN
