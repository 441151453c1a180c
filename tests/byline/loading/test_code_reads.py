"""Names that byte code reads, with the attributes that are read of each."""

import math
from typing import Any

import torch

from byline.loading.code_reads import names_read, own_imports

SCALE = 2.0


def reads(function: Any) -> dict[str, list[tuple[str, ...]]]:
    return names_read(function.__code__)


def test_globals_and_their_attributes() -> None:
    def loss(x: float) -> float:
        return math.sqrt(x) * SCALE + float(torch.nn.functional.relu(torch.ones(())))

    found = reads(loss)
    assert found["math"] == [("sqrt",)]
    assert found["torch"] == [("nn", "functional", "relu"), ("ones",)]
    assert found["SCALE"] == [()]


def test_enclosing_names_and_inner_functions() -> None:
    weight = {"a": 1}

    def loss(x: float) -> Any:
        return [weight["a"] * math.exp(value) for value in (x,)], lambda: SCALE

    found = reads(loss)
    assert found["weight"] == [()]
    assert found["math"] == [("exp",)]
    assert found["SCALE"] == [()]


def test_the_order_is_fixed() -> None:
    def one() -> Any:
        return math.tau, math.pi, SCALE

    def other() -> Any:
        return SCALE, math.pi, math.tau

    assert list(reads(one).items()) == list(reads(other).items())


def test_modules_of_ones_own_that_a_function_imports() -> None:
    def loss() -> Any:
        import json

        from tests.reference import models

        return json, models

    found = own_imports(loss)
    assert [module.__name__ for module, _ in found] == ["tests.reference"]
    assert found[0][1] == [("models",)]
