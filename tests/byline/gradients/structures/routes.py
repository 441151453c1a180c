"""Branches, arguments that are no tensors, loops, calls by size, parts without a gradient."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.structures.base import INFLUENCE, C, D, Model, case, items, sequences


class HeadsByTask(Model):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(D, C) for _ in range(3)])

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        h, out = torch.tanh(self.first(x)), x.new_zeros(len(x), C)
        for number, head in enumerate(self.heads):
            mine = (task == number).nonzero().flatten()
            if len(mine):
                out = out.index_copy(0, mine, head(h[mine]))
        return out


class HeadsByMask(HeadsByTask):
    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        every = torch.stack([head(h) for head in self.heads], dim=1)
        return every[torch.arange(len(x)), task]


class Experts(Model):
    """Tokens are routed: an expert sees as many as come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(D, 3)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(D, D), nn.GELU()) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x).reshape(-1, D)
        weights = self.router(tokens).softmax(1)
        chosen, out = weights.argmax(1), torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            mine = (chosen == number).nonzero().flatten()
            out.index_add_(0, mine, expert(tokens[mine]) * weights[mine, number, None])
        return self.last(out.view(x.shape).mean(1))


class Cells(Model):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cell = kind(D, D)

    def forward(self, x: Tensor) -> Tensor:
        state = self.cell(self.first(x[:, 0]))
        for step in range(1, x.shape[1]):
            state = self.cell(self.first(x[:, step]), state)
        return self.last(state[0] if isinstance(state, tuple) else state)


class Pair(NamedTuple):
    sum: Tensor
    difference: Tensor


@dataclass
class Parts:
    left: Tensor
    right: Tensor


class Structured(nn.Module):
    """A module with parameters of its own whose arguments and output are no bare tensors."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.weight = kind, nn.Parameter(torch.randn(D, D))

    def forward(self, given: Any) -> Any:
        left, right = {
            "list": lambda g: g,
            "dict": lambda g: (g["left"], g["right"]),
            "namedtuple": lambda g: g,
            "dataclass": lambda g: (g.left, g.right),
        }[self.kind](given)
        one, two = left @ self.weight, right @ self.weight.T
        return {
            "list": lambda: [one, two],
            "dict": lambda: {"left": one, "right": two},
            "namedtuple": lambda: Pair(one, two),
            "dataclass": lambda: Parts(one, two),
        }[self.kind]()


class TakesStructures(Model):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.middle = kind, Structured(kind)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.tanh(self.first(x)), x
        given: Any = {
            "list": lambda: [left, right],
            "dict": lambda: {"left": left, "right": right},
            "namedtuple": lambda: Pair(left, right),
            "dataclass": lambda: Parts(left, right),
        }[self.kind]()
        found = self.middle(given)
        if self.kind == "dict":
            found = (found["left"], found["right"])
        if self.kind == "dataclass":
            found = (found.left, found.right)
        return self.last(torch.tanh(found[0]) + torch.sin(found[1]))


class SecondOutput(Model):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Parameter(torch.randn(D, D)), nn.Parameter(torch.randn(D, D))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x @ self.one, x @ self.two

    def __init__(self) -> None:
        super().__init__()
        self.middle = self.Two()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(self.first(x))[1]))


class Contrast(Model):
    """The mean of the batch is taken away: there is no gradient of one example."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.tanh(h - h.mean(0)))


class LargeBatches(Model):
    """A layer that batches of more than three examples alone reach."""

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.tanh(self.large(h) if len(x) > 3 else h))


class Loops(Model):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.last(torch.tanh(self.first(row))) for row in x])


class Chunks(Model):
    """The same layer for chunks of two, then for all."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([torch.tanh(self.first(part)) for part in x.split(2)])
        return self.last(torch.tanh(self.first(h)))


class InPlace(Model):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h.mul_(2).add_(1)
        h[:, 0] = 0.5
        return self.last(torch.relu_(h))


class Checkpointed(Model):
    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(checkpoint(self.middle, self.first(x), use_reentrant=False))


class Detached(Model):
    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        straight = h + (h.sign() - h).detach()
        return self.last(straight * h.detach())


class WithoutGrad(Model):
    def __init__(self) -> None:
        super().__init__()
        self.frozen_path = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.frozen_path(x)
        return self.last(torch.tanh(self.first(h)))


def _tasks() -> list[tuple[Any, ...]]:
    return items(lambda n: (torch.randn(D), torch.tensor(int(n >= 4) + int(n >= 6))))


def _routes() -> list[ModelCase]:
    heads = "branches that few items reach"
    return [
        case(heads, "heads by task, by index", HeadsByTask, _tasks),
        case(heads, "heads by task, by mask", HeadsByMask, _tasks),
        case(heads, "experts by token", Experts, sequences),
    ]


def _arguments() -> list[ModelCase]:
    kind = "arguments and outputs that are no tensors"
    return [
        *(
            case(kind, f"a {name}", lambda n=name: TakesStructures(n))
            for name in ("list", "dict", "namedtuple", "dataclass")
        ),
        case(kind, "a second output", SecondOutput),
    ]


def _batches() -> list[ModelCase]:
    kind, influence = "calls by the batch's size", "examples that influence one another"
    return [
        case(kind, "a layer called once an example", Loops),
        case(kind, "a layer called on chunks, then on all", Chunks),
        case(influence, "the batch's mean", Contrast, expected="either", reason=INFLUENCE),
        case(influence, "a layer for more than three", LargeBatches, expected="either", reason=INFLUENCE),
        case("in-place operations", "on an output", InPlace),
        case("checkpointing", "`torch.utils.checkpoint`", Checkpointed),
        case("parts without a gradient", "`detach`, straight-through", Detached),
        case("parts without a gradient", "`no_grad`", WithoutGrad),
    ]


def cases() -> list[ModelCase]:
    """What runs through which module, and how often."""
    return [*_routes(), *_arguments(), *_batches()]
