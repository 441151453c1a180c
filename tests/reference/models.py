"""Small networks that between them use every kind of layer, with losses and data. Float64 unless said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A model, a per-example loss and a data set of single examples (each a batch of one)."""

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]
    batch: Any
    count: int

    def one(self, n: int) -> Any:
        """Example n as a batch of one."""
        if isinstance(self.batch, tuple):
            return tuple(part[n : n + 1] for part in self.batch)
        return self.batch[n : n + 1]

    def some(self, rows: list[int]) -> Any:
        """A batch of these examples."""
        if isinstance(self.batch, tuple):
            return tuple(part[rows] for part in self.batch)
        return self.batch[rows]

    def sample(self, count: int) -> Any:
        """What `build_collector` asks for."""
        return self.some([0, 1, 0][:count])


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def mlp(count: int = 9, *, dropout: float = 0.1) -> Case:
    torch.manual_seed(0)
    layers = [
        nn.Linear(5, 7),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(7, 6),
        nn.Tanh(),
        nn.Linear(6, 3),
    ]
    model = nn.Sequential(*layers).double().eval()
    batch = (torch.randn(count, 5, dtype=torch.float64), torch.randint(0, 3, (count,)))
    return Case(model, cross_entropy, batch, count)


def convnet(count: int = 5) -> Case:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular", dilation=2),
        nn.Conv2d(4, 4, 3, groups=2, bias=False),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).double()
    model(torch.randn(20, 2, 8, 8, dtype=torch.float64))
    batch = (torch.randn(count, 2, 8, 8, dtype=torch.float64), torch.randint(0, 3, (count,)))
    return Case(model.eval(), cross_entropy, batch, count)


class TinyTransformer(nn.Module):
    """Tied embedding and head, positions shared by the batch, a layer called twice, a bare parameter."""

    def __init__(self, vocabulary: int = 11, width: int = 8, context: int = 6) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=0)
        self.places = nn.Embedding(context, width)
        self.norm, self.rms = nn.LayerNorm(width), nn.RMSNorm(width)
        self.local = nn.Conv1d(width, width, 3, padding=1)
        self.depthwise = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.twice = nn.Linear(width, width)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        h = self.local(self.norm(h).transpose(1, 2)).transpose(1, 2).relu_()
        h = self.dropout(self.twice(torch.tanh(self.twice(h))))
        h = self.rms(h + self.depthwise(h.transpose(1, 2)).transpose(1, 2))
        return self.head(h)


def next_token_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    logits = model(tokens)
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none").sum(dim=1)


def transformer(count: int = 6) -> Case:
    torch.manual_seed(2)
    # As many positions as examples: a leading dimension that only looks like a batch.
    tokens = torch.randint(0, 11, (count, 6))
    return Case(TinyTransformer().double().eval(), next_token_loss, tokens, count)


class Recurrent(nn.Module):
    """A kernel that torch.func cannot vectorise, and a layer that sees positions as examples."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.flat = nn.Linear(4, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(x)[0]
        merged = torch.tanh(self.flat(states.flatten(0, 1)))
        return self.out(merged.unflatten(0, states.shape[:2]).mean(dim=1))


def recurrent(count: int = 4) -> Case:
    torch.manual_seed(3)
    batch = (torch.randn(count, 5, 3, dtype=torch.float64), torch.randint(0, 3, (count,)))
    return Case(Recurrent().double().eval(), cross_entropy, batch, count)


CASES: dict[str, Callable[[], Case]] = {
    "mlp": mlp,
    "convnet": convnet,
    "transformer": transformer,
    "recurrent": recurrent,
}


class Scale(nn.Module):
    """Multiplies by fixed numbers: a dropout mask written out."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors
