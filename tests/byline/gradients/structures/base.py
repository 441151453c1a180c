"""The data and the frame that all structures have."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.byline.gradients.cases import Expected, ModelCase
from tests.byline.gradients.exactness import Subject

D, T, C, N = 6, 4, 3, 7
INFLUENCE = "there is no gradient of one example"


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(*batch[:-1]), batch[-1], reduction="none")


def items(draw: Callable[[int], tuple[Any, ...]], count: int = N) -> list[tuple[Any, ...]]:
    """Inputs of each item, and a label that runs round."""
    torch.manual_seed(1)
    return [(*draw(n), torch.tensor(n % C)) for n in range(count)]


def vectors(count: int = N) -> list[tuple[Any, ...]]:
    return items(lambda _: (torch.randn(D),), count)


def sequences(length: int = T, count: int = N) -> list[tuple[Any, ...]]:
    return items(lambda _: (torch.randn(length, D),), count)


class Model(nn.Module):
    """A first and a last layer around whatever a structure is about."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(D, D), nn.Linear(D, C)


class Plain(Model):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def case(
    kind: str,
    form: str,
    make: Callable[[], nn.Module],
    data: Callable[[], list[Any]] = vectors,
    expected: Expected = "exact",
    **more: Any,
) -> ModelCase:
    loss, reason = more.pop("loss", cross_entropy), more.pop("reason", "")
    return ModelCase(
        kind=kind,
        form=form,
        subject=lambda: Subject(make=make, loss=loss, items=data(), **more),
        expected=expected,
        reason=reason,
    )
