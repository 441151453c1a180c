"""Exceptions of a user's model are one line that names the module, and Byline's own pass."""

import pytest
import torch
from torch import Tensor, nn

from byline.errors import InvalidTask, UnsupportedModel
from byline.gradients.capture.faults import InseparableError, first_line, named_fault


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no such width\nsecond line")


MODEL = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Broken()))


def test_the_innermost_module_is_named() -> None:
    expected = r"^module '1\.0' raised ValueError: no such width$"
    with pytest.raises(UnsupportedModel, match=expected), named_fault(MODEL):
        MODEL(torch.zeros(1, 2))


def test_a_way_out_is_named_where_layers_are_watched() -> None:
    expected = r"exclude the module from Task\.layers$"
    with pytest.raises(UnsupportedModel, match=expected), named_fault(MODEL, watched=True):
        MODEL(torch.zeros(1, 2))


def test_an_error_outside_of_the_model_is_the_losss() -> None:
    expected = r"^the loss, the target or the model's backward pass raised KeyError: 'x'$"
    with pytest.raises(UnsupportedModel, match=expected), named_fault(MODEL, watched=True):
        raise KeyError("x")


@pytest.mark.parametrize("error", [InvalidTask("own"), InseparableError("apart"), torch.OutOfMemoryError()])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, named_fault(MODEL):
        raise error
    assert caught.value is error


def test_a_first_line_is_short() -> None:
    assert first_line(ValueError("a" * 900 + "\nb")) == "a" * 200
    assert first_line(ValueError()) == "no message"
