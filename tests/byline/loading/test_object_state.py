"""The state of objects: what pickle would write, their fields, and a refusal where it is hidden."""

import threading
from argparse import Namespace
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from byline.errors import InvalidTask
from byline.loading.object_state import class_parts, is_special, object_fields, object_state


@dataclass(slots=True)
class Slotted:
    width: int
    name: str = "a"


class Plain:
    _scale = 2.0

    def __init__(self) -> None:
        self.width = 3

    def twice(self) -> int:
        return 2 * self.width


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (deque([1, 2]), deque([1, 3])),
        (Decimal("1.5"), Decimal("2.5")),
        (range(3), range(4)),
        (bytearray(b"a"), bytearray(b"b")),
        (slice(1), slice(2)),
        (Namespace(t=1.0), Namespace(t=3.0)),
    ],
)
def test_other_values_have_another_state(one: Any, other: Any) -> None:
    assert repr(object_state(one)) == repr(object_state(type(one)(one) if isinstance(one, deque) else one))
    assert repr(object_state(one)) != repr(object_state(other))


@pytest.mark.parametrize("value", [threading.Lock(), (number for number in range(3))])
def test_a_hidden_state_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTask, match="the state of an object of type"):
        object_state(value)


def test_fields_of_slots_and_of_a_dict() -> None:
    assert object_fields(Slotted(4)) == {"width": 4, "name": "a"}
    assert object_fields(Plain()) == {"width": 3}


def test_hashes_that_an_object_keeps_are_left_out() -> None:
    kept = Namespace(t=1.0, _commit_hash="per process")
    assert "per process" not in repr(object_state(kept))


def test_parts_of_a_class_are_ordered_and_private_ones_count() -> None:
    parts = class_parts(Plain)
    assert list(parts) == sorted(parts)
    assert parts["_scale"] == 2.0
    assert "twice" in parts
    assert "__dict__" not in parts
    assert "width" not in class_parts(Slotted)


def test_special_names() -> None:
    assert is_special("__file__")
    assert not is_special("__x")
