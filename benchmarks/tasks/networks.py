"""Small MLPs, many of which are trained at once as one batched network.

The arithmetic is that of one network at a time, with a hundred times fewer kernel launches.

Letters: M networks, S training points of each, N points, Q queries.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTHS = (64, 128, 64, 10)
"""Layers of the digits network, inputs and classes included."""


@dataclass(frozen=True)
class Protocol:
    """Sizes, and how networks are trained: everything that a truth depends on."""

    train: int = 1000
    """Training points."""
    queries: int = 100
    """Queries that are reported."""
    tuning: int = 100
    """Further queries, on which dampings are chosen."""
    subsets: int = 100
    """Random halves of the training set."""
    seeds: int = 3
    """Networks that are trained on each half."""
    epochs: int = 50
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    dropout: float = 0.1

    @property
    def digest(self) -> str:
        """Name everything that was made by this protocol."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Data:
    """Training points and queries, with their labels."""

    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor

    @property
    def queries(self) -> list[tuple[Tensor, Tensor]]:
        """Queries as items of a Task."""
        return list(zip(self.query_x, self.query_y, strict=True))


def train_many(
    data: Data, rows_MS: Tensor, protocol: Protocol, seed: int, widths: Sequence[int] = WIDTHS
) -> list[Tensor]:
    """Train M networks, each on rows of its own.

    Args:
        data: The training set.
        rows_MS: The rows of each network.
        protocol: Optimizer and sizes.
        seed: Seed of weights, order and dropout, which differ between the networks.
        widths: Layers, inputs and classes included.

    Returns:
        Weights [M, in, out] and biases [M, 1, out] of every layer, in turn.
    """
    generator = torch.Generator().manual_seed(seed)
    models, size = rows_MS.shape
    parameters = initial_parameters(widths, models, generator)
    optimizer = torch.optim.SGD(parameters, lr=protocol.learning_rate, momentum=protocol.momentum)
    for _ in range(protocol.epochs):
        order = torch.rand(rows_MS.shape, generator=generator).argsort(dim=1)
        for batch in rows_MS.gather(1, order).split(protocol.batch, dim=1):
            if batch.shape[1] * 2 < min(protocol.batch, size):
                continue
            logits = forward(parameters, data.x[batch], protocol.dropout, generator)
            loss = F.cross_entropy(logits.flatten(0, 1), data.y[batch].flatten(), reduction="none")
            optimizer.zero_grad(set_to_none=True)
            (loss.sum() / batch.shape[1]).backward()
            optimizer.step()
    return [p.detach() for p in parameters]


def initial_parameters(widths: Sequence[int], models: int, generator: torch.Generator) -> list[Tensor]:
    """Draw weights [M, in, out] and biases [M, 1, out] of every layer, in turn, as `nn.Linear` does."""
    parameters: list[Tensor] = []
    for fan_in, fan_out in pairwise(widths):
        bound = fan_in**-0.5
        for shape in ((models, fan_in, fan_out), (models, 1, fan_out)):
            uniform = torch.rand(shape, generator=generator) * 2 - 1
            parameters.append((uniform * bound).requires_grad_())
    return parameters


def forward(
    parameters: list[Tensor],
    x: Tensor,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Compute the logits [M, N, classes] of M networks.

    Every layer but the last ends in ReLU and dropout.
    """
    h = x
    layers = len(parameters) // 2
    for layer in range(layers):
        h = torch.baddbmm(parameters[2 * layer + 1], h, parameters[2 * layer])
        if layer < layers - 1:
            h = h.relu()
            if dropout:
                keep = torch.rand(h.shape, generator=generator) >= dropout
                h = h * keep / (1 - dropout)
    return h


def query_losses(parameters: list[Tensor], data: Data) -> Tensor:
    """Compute every network's loss on every query, [M, Q]."""
    models = parameters[0].shape[0]
    with torch.no_grad():
        logits = forward(parameters, data.query_x.expand(models, -1, -1)).flatten(0, 1)
    return F.cross_entropy(logits, data.query_y.repeat(models), reduction="none").reshape(models, -1)


def state_dicts(parameters: list[Tensor], apart: int = 3) -> list[dict[str, Tensor]]:
    """Write M networks as state dicts of a `Sequential`.

    Args:
        parameters: Of every layer, or numbers of the same shapes, such as an optimizer's moments.
        apart: Modules from one linear layer to the next: 3 with ReLU and dropout between them, 2 with ReLU alone.

    Returns:
        One state dict a network.
    """
    names = [
        f"{apart * layer}.{kind}" for layer in range(len(parameters) // 2) for kind in ("weight", "bias")
    ]
    return [
        {
            name: (p[m].T if p[m].shape[0] > 1 else p[m][0]).contiguous()
            for name, p in zip(names, parameters, strict=True)
        }
        for m in range(parameters[0].shape[0])
    ]
