"""Installed code and the user's own are told apart, whatever a name claims."""

import functools
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from byline.errors import InvalidTask
from byline.loading.installed_code import (
    is_foreign,
    is_installed,
    is_installed_class,
    is_installed_function,
    is_native,
)
from tests.reference.models import TinyTransformer


@pytest.mark.parametrize("name", ["torch", "json", "byline.errors", "numpy.linalg", "builtins"])
def test_installed_modules(name: str) -> None:
    assert is_installed(name)


@pytest.mark.parametrize("name", ["__main__", "tests.reference.models", "no_such_module", None])
def test_ones_own_modules(name: str | None) -> None:
    assert not is_installed(name)


def test_classes() -> None:
    assert is_installed_class(nn.Linear)
    assert is_installed_class(int)
    assert not is_installed_class(TinyTransformer)
    space: dict[str, type] = {}
    exec("class Made: pass", {"__name__": "builtins"}, space)  # noqa: S102 - as a notebook's cell
    assert space["Made"].__module__ == "builtins"
    assert not is_installed_class(space["Made"])


def test_a_decorated_function_is_ones_own() -> None:
    @functools.wraps(F.relu)
    def own(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert own.__module__ == F.relu.__module__
    assert not is_installed_function(own)
    assert is_installed_function(F.softmax)


def test_classes_that_hide_what_they_hold() -> None:
    assert is_native(type(threading.Lock()))
    assert is_native(np.ndarray)
    assert not is_native(TinyTransformer)


def test_bylines_own_classes_show_their_fields() -> None:
    assert is_foreign(nn.Linear)
    assert not is_foreign(InvalidTask)
    assert not is_foreign(TinyTransformer)
