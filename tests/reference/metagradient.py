"""The exact metagradient of a small training run (MAGIC: Ilyas and Engstrom 2025), by unrolled autograd in float64.

A run with the weight w_i on the loss of training point i ends in weights theta(w). The metagradient of a query's loss is
dL(theta(w)) / dw at w = 1. The score of a point is minus that: to first order the rise of the query's loss when the same
run, with the same batches, leaves the point out.

Letters: R training points, B points of a batch, Q queries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
"""Parameters by name."""


class Optimizer(Protocol):
    """An update rule without state of its own."""

    def begin(self, parameters: Tensors) -> dict[str, Tensors]:
        """The state before the first step."""
        ...

    def update(
        self, step: int, parameters: Tensors, gradients: Tensors, state: dict[str, Tensors]
    ) -> tuple[Tensors, dict[str, Tensors]]:
        """Parameters and state after a step, from 0."""
        ...


@dataclass(frozen=True)
class Sgd:
    """Plain stochastic gradient descent."""

    rates: Sequence[float]
    """Learning rate of each step."""

    def begin(self, parameters: Tensors) -> dict[str, Tensors]:
        return {}

    def update(
        self, step: int, parameters: Tensors, gradients: Tensors, state: dict[str, Tensors]
    ) -> tuple[Tensors, dict[str, Tensors]]:
        return {name: p - self.rates[step] * gradients[name] for name, p in parameters.items()}, state


@dataclass(frozen=True)
class AdamW:
    """AdamW as `torch.optim.AdamW` has it."""

    rates: Sequence[float]
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def begin(self, parameters: Tensors) -> dict[str, Tensors]:
        return {
            moment: {n: torch.zeros_like(p) for n, p in parameters.items()} for moment in ("first", "second")
        }

    def update(
        self, step: int, parameters: Tensors, gradients: Tensors, state: dict[str, Tensors]
    ) -> tuple[Tensors, dict[str, Tensors]]:
        (b1, b2), rate = self.betas, self.rates[step]
        first = {n: b1 * state["first"][n] + (1 - b1) * g for n, g in gradients.items()}
        second = {n: b2 * state["second"][n] + (1 - b2) * g * g for n, g in gradients.items()}
        after = {}
        for name, p in parameters.items():
            # The root's slope at zero is infinite, and no weight moves what has no gradient: the slope is zero there.
            root = (second[name] / (1 - b2 ** (step + 1))).clamp_min(1e-200).sqrt()
            direction = first[name] / (1 - b1 ** (step + 1)) / (root + self.eps)
            after[name] = p * (1 - rate * self.weight_decay) - rate * direction
        return after, {"first": first, "second": second}


@dataclass(frozen=True)
class Run:
    """A training run with fixed batches."""

    start: Tensors
    """Parameters before the first step."""
    losses: Callable[[Tensors, Tensor], Tensor]
    """`(parameters, rows_B) -> losses_B` of training points."""
    batches: Sequence[Tensor]
    """Rows of each step."""
    optimizer: Optimizer
    points: int
    """R."""


def final_parameters(run: Run, weights_R: Tensor) -> Tensors:
    """Train with a weight on each point. A batch's loss is the weighted sum divided by the number of its points."""
    parameters = {name: p.detach().clone().requires_grad_() for name, p in run.start.items()}
    state = run.optimizer.begin(parameters)
    for step, rows_B in enumerate(run.batches):
        loss = (weights_R[rows_B] * run.losses(parameters, rows_B)).sum() / len(rows_B)
        found = torch.autograd.grad(loss, list(parameters.values()), create_graph=weights_R.requires_grad)
        gradients = dict(zip(parameters, found, strict=True))
        parameters, state = run.optimizer.update(step, parameters, gradients, state)
        if not weights_R.requires_grad:
            parameters = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    return parameters


def metagradients(run: Run, query_losses: Callable[[Tensors], Tensor]) -> Tensor:
    """Differentiate each query's final loss by each point's weight, through the whole run: [Q, R]."""
    weights_R = torch.ones(run.points, dtype=torch.float64, requires_grad=True)
    losses_Q = query_losses(final_parameters(run, weights_R))
    rows = [torch.autograd.grad(loss, weights_R, retain_graph=True)[0] for loss in losses_Q]
    return torch.stack(rows)


def scores(run: Run, query_losses: Callable[[Tensors], Tensor]) -> Tensor:
    """Minus the metagradients, [Q, R]: positive for proponents, which lower the query's loss."""
    return -metagradients(run, query_losses)


def left_out(run: Run, query_losses: Callable[[Tensors], Tensor], rows: Sequence[int]) -> Tensor:
    """The rise of each query's loss when the run leaves one of these points out, [Q, rows]."""
    weights = torch.ones(len(rows) + 1, run.points, dtype=torch.float64)
    weights[range(len(rows)), list(rows)] = 0
    *without, whole = [query_losses(final_parameters(run, weights_R)).detach() for weights_R in weights]
    return torch.stack([losses_Q - whole for losses_Q in without], dim=1)
