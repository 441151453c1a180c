"""One way to build and to call a module class, and what forms share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.byline.gradients.cases import Expected

REFUSED: dict[str, Any] = {"expected": "refused"}
COUNTED = "a gradient depends on how often others have the token"
WIDTH, LENGTH, COUNT = 4, 6, 6
"""As many positions as items: a dimension that only looks like the batch."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to build and to call a module class."""

    words: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    """Draws the inputs of one item, without the dimension of the batch."""
    call: Callable[..., Tensor]
    """`(module, *inputs) -> output`, with the batch first."""
    expected: Expected = "exact"
    reason: str = ""


def numbers(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(*shape),)


def indices(*shape: int, below: int = 7) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randint(0, below, shape),)


def plainly(module: nn.Module, *inputs: Tensor) -> Tensor:
    return module(*inputs)


def batch_second(module: nn.Module, *inputs: Tensor) -> Tensor:
    return module(*(part.transpose(0, 1) for part in inputs)).transpose(0, 1)


def form(words: str, make: Callable[[], nn.Module], inputs: Any, call: Any = plainly, **more: Any) -> Form:
    return Form(words=words, make=make, inputs=inputs, call=call, **more)


def materialised(module: nn.Module, *inputs: Tensor) -> nn.Module:
    """A lazy module after its first call."""
    module(*inputs)
    for buffer in module.buffers():
        buffer.data.abs_()
    return module


def padding(lengths: Tensor, size: int) -> Tensor:
    """True where a position is padding: [N, T]."""
    return torch.arange(size)[None] >= lengths[:, None]
