"""The methods' formulas without projection or truncation, in float64: what every score is held against.

Shapes: N training points, Q queries, P parameters.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Dense:
    """An MLP's gradients by hand: two products a layer."""

    weights: dict[str, Tensor]
    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor

    def grad_dot(self) -> np.ndarray:
        """q . g"""
        return _numpy(self.query_loss @ self.train_loss.T)

    def trak(self, ridge: float) -> np.ndarray:
        """q^T (G^T G + ridge)^-1 g (1 - p), with the margin's gradients and no projection."""
        train_NP, p_N = self._gradients(self.x, self.y, margin=True)
        query_QP, _ = self._gradients(self.query_x, self.query_y, margin=True)
        kernel_NN = train_NP @ train_NP.T
        kernel_NN.diagonal().add_(ridge)
        return _numpy(torch.linalg.solve(kernel_NN, (query_QP @ train_NP.T).T).T * (1 - p_N))

    def trak_scale(self) -> float:
        """Sum of the squared entries of the margin's gradients: what ridges are multiples of."""
        return float(self._gradients(self.x, self.y, margin=True)[0].square().sum())

    def ekfac(self, damping: float) -> np.ndarray:
        """EK-FAC at the training labels; damping in units of each layer's mean eigenvalue."""
        total = torch.zeros(len(self.query_x), len(self.x), dtype=torch.float64)
        for train, query in zip(
            self._factors(self.x, self.y, margin=False)[0],
            self._factors(self.query_x, self.query_y, margin=False)[0],
            strict=True,
        ):
            bases = [torch.linalg.eigh(part.T @ part / len(part))[1] for part in train]
            rotated, asked = (
                torch.einsum("no,ni->noi", left @ bases[0], right @ bases[1]).flatten(1)
                for left, right in (train, query)
            )
            values = rotated.square().mean(dim=0)
            total += (asked / (values + damping * values.mean())) @ rotated.T
        return _numpy(total)

    def mean_eigenvalue(self) -> float:
        """Mean over all parameters of the mean squared gradient entry."""
        return float(self.train_loss.square().mean())

    @cached_property
    def train_loss(self) -> Tensor:
        """Gradients of the training losses [N, P]."""
        return self._gradients(self.x, self.y, margin=False)[0]

    @cached_property
    def query_loss(self) -> Tensor:
        """Gradients of the queries' losses [Q, P]."""
        return self._gradients(self.query_x, self.query_y, margin=False)[0]

    def _gradients(self, x: Tensor, y: Tensor, *, margin: bool) -> tuple[Tensor, Tensor]:
        factors, p_N = self._factors(x, y, margin=margin)
        blocks = [torch.einsum("no,ni->noi", left, right).flatten(1) for left, right in factors]
        return torch.cat(blocks, dim=1), p_N

    def _factors(self, x: Tensor, y: Tensor, *, margin: bool) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Output gradients and inputs (with a one for the bias) of every layer, and p of the labels."""
        layers = [
            (self.weights[f"{name}.weight"].double(), self.weights[f"{name}.bias"].double())
            for name in ("0", "3", "6")
        ]
        inputs, h = [], x.double()
        for place, (weight, bias) in enumerate(layers):
            inputs.append(h)
            h = h @ weight.T + bias
            h = h.relu() if place < len(layers) - 1 else h
        p_NC = h.softmax(dim=1)
        right_NC = F.one_hot(y, p_NC.shape[1]).double()
        p_N = (p_NC * right_NC).sum(dim=1)
        if margin:
            others_NC = h.masked_fill(right_NC.bool(), -torch.inf).softmax(dim=1)
            left = right_NC - others_NC
        else:
            left = p_NC - right_NC
        lefts = [left]
        for (weight, _), after in reversed(list(zip(layers[1:], inputs[1:], strict=True))):
            left = (left @ weight) * (after > 0)
            lefts.append(left)
        ones = torch.ones(len(x), 1, dtype=torch.float64)
        pairs = zip(reversed(lefts), inputs, strict=True)
        return [(left, torch.cat([right, ones], dim=1)) for left, right in pairs], p_N


def _numpy(scores_QN: Tensor) -> np.ndarray:
    return scores_QN.numpy()
