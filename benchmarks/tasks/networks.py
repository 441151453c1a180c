"""The truth of the digits benchmark: models really retrained on random halves of the training set.

All models of one seed are trained at once, as one batched network: the same arithmetic as one at a time,
a hundred times fewer kernel launches.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

WIDTHS = (64, 128, 64, 10)


@dataclass(frozen=True)
class Protocol:
    """Everything that the truth depends on."""

    train: int = 1000
    queries: int = 100
    """What is reported."""
    tuning: int = 100
    """Further queries, that damping is chosen on."""
    subsets: int = 100
    seeds: int = 3
    epochs: int = 50
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    dropout: float = 0.1


@dataclass(frozen=True)
class Data:
    """Pixels in [0, 1] and labels."""

    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor


def digits(protocol: Protocol) -> Data:
    """Split scikit-learn's digits into training points and queries, by a fixed shuffle."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    x = torch.tensor(bunch.data[order] / 16.0, dtype=torch.float32)
    y = torch.tensor(bunch.target[order], dtype=torch.int64)
    n, q = protocol.train, protocol.queries + protocol.tuning
    return Data(x[:n], y[:n], x[n : n + q], y[n : n + q])


def subsets(protocol: Protocol) -> np.ndarray:
    """Random halves of the training set: bool [subsets, train]."""
    rng = np.random.default_rng(1)
    chosen = np.zeros((protocol.subsets, protocol.train), dtype=bool)
    for row in chosen:
        row[rng.permutation(protocol.train)[: protocol.train // 2]] = True
    return chosen


def train_many(
    data: Data, rows_MS: Tensor, protocol: Protocol, seed: int, widths: Sequence[int] = WIDTHS
) -> list[Tensor]:
    """Train M networks, each on its own rows.

    Args:
        data: The training set.
        rows_MS: Which rows each of the M models sees, S of them.
        protocol: Optimiser and sizes.
        seed: Initial weights, order and dropout; different for every model.
        widths: Of the layers, inputs and classes included.

    Returns:
        Weights [M, in, out] and biases [M, 1, out] of every layer, in turn.
    """
    generator = torch.Generator().manual_seed(seed)
    models, size = rows_MS.shape
    parameters: list[Tensor] = []
    for fan_in, fan_out in pairwise(widths):
        bound = fan_in**-0.5
        for shape in ((models, fan_in, fan_out), (models, 1, fan_out)):
            uniform = torch.rand(shape, generator=generator) * 2 - 1
            parameters.append((uniform * bound).requires_grad_())
    optimiser = torch.optim.SGD(parameters, lr=protocol.learning_rate, momentum=protocol.momentum)
    for _ in range(protocol.epochs):
        order = torch.rand(rows_MS.shape, generator=generator).argsort(dim=1)
        for batch in rows_MS.gather(1, order).split(protocol.batch, dim=1):
            if batch.shape[1] * 2 < min(protocol.batch, size):
                continue
            logits = forward(parameters, data.x[batch], protocol.dropout, generator)
            loss = F.cross_entropy(logits.flatten(0, 1), data.y[batch].flatten(), reduction="none")
            optimiser.zero_grad(set_to_none=True)
            (loss.sum() / batch.shape[1]).backward()
            optimiser.step()
    return [p.detach() for p in parameters]


def forward(
    parameters: list[Tensor],
    x: Tensor,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Logits [M, N, 10] of M networks; every layer but the last ends in ReLU and dropout."""
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


def state_dicts(parameters: list[Tensor]) -> list[dict[str, Tensor]]:
    """One state dict of `examples/digits`' network for each of the M models."""
    names = [f"{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")]
    return [
        {
            name: (p[m].T if p[m].shape[0] > 1 else p[m][0]).contiguous()
            for name, p in zip(names, parameters, strict=True)
        }
        for m in range(parameters[0].shape[0])
    ]


def retrained_outputs(data: Data, protocol: Protocol, cache: Path) -> np.ndarray:
    """Minus the loss of every query under models trained on every half: [seeds, subsets, queries]; cached."""
    key = hashlib.sha256(json.dumps(asdict(protocol), sort_keys=True).encode()).hexdigest()[:12]
    path = cache / f"digits-truth-{key}.npy"
    if path.exists():
        return np.load(path, allow_pickle=False)
    rows_MS = torch.tensor(np.stack([np.flatnonzero(row) for row in subsets(protocol)]))
    outputs = []
    for seed in track(range(protocol.seeds), description="retraining on halves"):
        parameters = train_many(data, rows_MS, protocol, seed=1000 + seed)
        with torch.no_grad():
            logits = forward(parameters, data.query_x.expand(protocol.subsets, -1, -1))
            loss = F.cross_entropy(
                logits.flatten(0, 1), data.query_y.repeat(protocol.subsets), reduction="none"
            )
        outputs.append(-loss.reshape(protocol.subsets, -1).numpy())
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack(outputs))
    return np.stack(outputs)


def full_models(data: Data, protocol: Protocol, count: int) -> list[dict[str, Tensor]]:
    """Models trained on the whole training set: the ones that are attributed."""
    rows = torch.arange(protocol.train).expand(count, -1)
    return state_dicts(train_many(data, rows, protocol, seed=77))
