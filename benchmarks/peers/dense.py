"""The methods' formulas in float64, without projection or truncation: the reference of every score.

Shapes: N training points, Q queries, P parameters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Factors = list[tuple[Tensor, Tensor]]
"""Output gradients and inputs (with a one for the bias) of every layer."""
LAYERS = ("0", "3", "6")


@dataclass(frozen=True)
class Dense:
    """Gradients of an MLP by hand: two products a layer."""

    weights: dict[str, Tensor]
    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor

    def grad_dot(self) -> np.ndarray:
        """Compute q . g."""
        return (self.query_loss @ self.train_loss.T).numpy()

    def trak(self, ridge: float) -> np.ndarray:
        """Compute q^T (G^T G + ridge)^-1 g (1 - p) from gradients of the margin."""
        train_NP, p_N = self._gradients(self.x, self.y, margin=True)
        query_QP, _ = self._gradients(self.query_x, self.query_y, margin=True)
        return (ridge_scores(query_QP, train_NP, ridge) * (1 - p_N)).numpy()

    def trak_scale(self) -> float:
        """Sum the squared entries of the margin's gradients: the unit of ridges."""
        return float(self._gradients(self.x, self.y, margin=True)[0].square().sum())

    def ekfac(self, damping: float, *, absolute: bool = False, all_classes: bool = False) -> np.ndarray:
        """Compute the scores of EK-FAC.

        Args:
            damping: In units of each layer's mean eigenvalue, or as it is if `absolute`.
            absolute: Use the same damping for all layers.
            all_classes: Fit on the expectation over the model's own labels, the limit of sampling them.
        """
        total = torch.zeros(len(self.query_x), len(self.x), dtype=torch.float64)
        fitted = list(self._labeled()) if all_classes else [(torch.ones(len(self.x)).double(), self.factors)]
        asked, _ = self.factors_of(self.query_x, self.query_y)
        for layer, (train, query) in enumerate(zip(self.factors, asked, strict=True)):
            lefts = torch.cat([p_N.sqrt()[:, None] * factors[layer][0] for p_N, factors in fitted])
            inputs = train[1]
            bases = [torch.linalg.eigh(part.T @ part)[1] for part in (lefts, inputs)]
            values = sum(
                p_N @ _rotated(factors[layer], bases).square().flatten(1) / len(self.x)
                for p_N, factors in fitted
            )
            damped = values + damping * (1.0 if absolute else values.mean())
            total += (_rotated(query, bases).flatten(1) / damped) @ _rotated(train, bases).flatten(1).T
        return total.numpy()

    def fisher_by_layer(self, damping: float, numbers: int) -> np.ndarray:
        """Compute LoGra's scores without projection; ridges are `damping` times a mean over `numbers` eigenvalues."""
        return fisher_by_layer(self._by_layer(), damping, numbers)

    def datainf(self, ridge: float) -> np.ndarray:
        """Average q^T (ridge + g_i g_i^T)^-1 g over training points i, by layer (Kwon et al. 2023)."""
        total = torch.zeros(len(self.query_x), len(self.x), dtype=torch.float64)
        for train_NP, query_QP in self._by_layer():
            kernel_NN, asked_QN = train_NP @ train_NP.T, query_QP @ train_NP.T
            shares_N = 1 / (ridge + kernel_NN.diagonal())
            total += (asked_QN - (asked_QN * shares_N) @ kernel_NN / len(self.x)) / ridge
        return total.numpy()

    def mean_eigenvalue(self) -> float:
        """Average the squared gradient entries over points and parameters."""
        return float(self.train_loss.square().mean())

    @cached_property
    def factors(self) -> Factors:
        """Factors of the training losses' gradients."""
        return self.factors_of(self.x, self.y)[0]

    @cached_property
    def train_loss(self) -> Tensor:
        """Gradients of the training losses [N, P]."""
        return self._gradients(self.x, self.y, margin=False)[0]

    @cached_property
    def query_loss(self) -> Tensor:
        """Gradients of the queries' losses [Q, P]."""
        return self._gradients(self.query_x, self.query_y, margin=False)[0]

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Compute the inputs of every layer, and the probabilities [N, C]."""
        inputs, h = [], x.double()
        for name in LAYERS:
            inputs.append(h)
            h = h @ self.weights[f"{name}.weight"].double().T + self.weights[f"{name}.bias"].double()
            h = h if name == LAYERS[-1] else h.relu()
        return inputs, h.softmax(dim=1)

    def factors_of(self, x: Tensor, y: Tensor, *, margin: bool = False) -> tuple[Factors, Tensor]:
        """Compute factors of the losses' or margins' gradients, and p of the labels."""
        inputs, p_NC = self.forward(x)
        right_NC = F.one_hot(y, p_NC.shape[1]).double()
        left = p_NC - right_NC
        if margin:
            others_NC = p_NC.masked_fill(right_NC.bool(), 0.0)
            left = right_NC - others_NC / others_NC.sum(dim=1, keepdim=True)
        lefts = [left]
        for name, after in reversed(list(zip(LAYERS[1:], inputs[1:], strict=True))):
            left = (left @ self.weights[f"{name}.weight"].double()) * (after > 0)
            lefts.append(left)
        pairs = zip(reversed(lefts), inputs, strict=True)
        return [(left, with_one(right)) for left, right in pairs], (p_NC * right_NC).sum(dim=1)

    def _labeled(self) -> Iterator[tuple[Tensor, Factors]]:
        """Yield each class's probabilities, and the factors with that class as the label."""
        for label in range(self.forward(self.x)[1].shape[1]):
            factors, p_N = self.factors_of(self.x, torch.full_like(self.y, label))
            yield p_N, factors

    def _by_layer(self) -> Iterator[tuple[Tensor, Tensor]]:
        asked, _ = self.factors_of(self.query_x, self.query_y)
        for train, query in zip(self.factors, asked, strict=True):
            yield _written_out(train), _written_out(query)

    def _gradients(self, x: Tensor, y: Tensor, *, margin: bool) -> tuple[Tensor, Tensor]:
        factors, p_N = self.factors_of(x, y, margin=margin)
        return torch.cat([_written_out(pair) for pair in factors], dim=1), p_N


def with_one(rows: Tensor) -> Tensor:
    """Append the bias's constant input."""
    return torch.cat([rows, rows.new_ones(*rows.shape[:-1], 1)], dim=-1)


def ridge_scores(query_QP: Tensor, train_NP: Tensor, ridge: float) -> Tensor:
    """Compute q^T (G^T G + ridge)^-1 g through the N x N kernel."""
    kernel_NN = train_NP @ train_NP.T
    kernel_NN.diagonal().add_(ridge)
    return torch.linalg.solve(kernel_NN, train_NP @ query_QP.T).T


def fisher_by_layer(layers: Iterable[tuple[Tensor, Tensor]], damping: float, numbers: int) -> np.ndarray:
    """Sum q^T (G^T G / N + ridge)^-1 g over layers, given as (train_NP, query_QP)."""
    total = [
        len(train_NP) * ridge_scores(query_QP, train_NP, damping * float(train_NP.square().sum()) / numbers)
        for train_NP, query_QP in layers
    ]
    return torch.stack(total).sum(dim=0).numpy()


def _written_out(pair: tuple[Tensor, Tensor]) -> Tensor:
    return torch.einsum("no,ni->noi", *pair).flatten(1)


def _rotated(pair: tuple[Tensor, Tensor], bases: list[Tensor]) -> Tensor:
    return torch.einsum("no,ni->noi", pair[0] @ bases[0], pair[1] @ bases[1])
