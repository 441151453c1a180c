"""Scores through the inverse of the Hessian of the mean training loss, in float64.

Shapes: N training points, Q directions or queries, P parameters (layer after layer, each [out, in + 1]).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.dense import LAYERS, Dense, with_one
from byline.curvature.iterative import PROBES
from byline.randomness import random_signs, stream_key

CHUNK = 25


@dataclass(frozen=True)
class Hessian:
    """H of an MLP's mean loss, by products with vectors (Pearlmutter's R-operator, by hand)."""

    dense: Dense

    def inverse(self, ridge: float, tolerance: float = 1e-8) -> np.ndarray:
        """Compute q^T (H + ridge)^-1 g by conjugate gradients, run to the tolerance.

        Raises:
            ValueError: H + ridge has a direction of negative curvature.
        """
        query_QP = self.dense.query_loss
        solved = [self._solve(part, ridge, tolerance) for part in query_QP.split(CHUNK)]
        return (torch.cat(solved) @ self.dense.train_loss.T).numpy()

    def strongest(self, ridge: float, kept: int, steps: int) -> np.ndarray:
        """Compute q^T (H + ridge)^-1 g within the `kept` largest eigenpairs, by Lanczos."""
        vector = torch.rand(self.dense.train_loss.shape[1], generator=torch.Generator().manual_seed(0))
        basis = [vector.double() / vector.double().norm()]
        matrix = torch.zeros(steps, steps, dtype=torch.float64)
        for step in range(steps):
            image = self.product(basis[-1][None])[0]
            matrix[step, step] = image @ basis[-1]
            stacked = torch.stack(basis)
            for _ in range(2):  # once more against rounding
                image = image - (stacked @ image) @ stacked
            if step + 1 < steps:
                matrix[step, step + 1] = matrix[step + 1, step] = image.norm()
                basis.append(image / image.norm())
        values, vectors = torch.linalg.eigh(matrix)
        directions = vectors[:, -kept:].T @ torch.stack(basis)
        asked = (self.dense.query_loss @ directions.T) / (values[-kept:] + ridge)
        return (asked @ directions @ self.dense.train_loss.T).numpy()

    def estimated_mean_eigenvalue(self) -> float:
        """Estimate it with Byline's own probes (Hutchinson 1990), to match dampings in its units exactly."""
        signs = random_signs(
            stream_key(0, "trace"), 0, PROBES, self.dense.train_loss.shape[1], torch.device("cpu")
        )
        return float((signs.double() * self.product(signs.double())).sum() / signs.numel())

    def product(self, directions_QP: Tensor) -> Tensor:
        """Multiply H with every direction."""
        dense = self.dense
        inputs, p_NC = dense.forward(dense.x)
        weights = [dense.weights[f"{name}.weight"].double() for name in LAYERS]
        sizes = [w.shape[0] * (w.shape[1] + 1) for w in weights]
        moves = [
            part.view(len(directions_QP), w.shape[0], w.shape[1] + 1)
            for part, w in zip(directions_QP.split(sizes, dim=1), weights, strict=True)
        ]
        tangent = torch.zeros(len(directions_QP), *inputs[0].shape, dtype=torch.float64)
        tangents = []
        for layer, (weight, move, h) in enumerate(zip(weights, moves, inputs, strict=True)):
            tangents.append(tangent)
            tangent = tangent @ weight.T + with_one(h) @ move.transpose(1, 2)
            if layer + 1 < len(weights):
                tangent = tangent * (inputs[layer + 1] > 0)
        left = (p_NC - F.one_hot(dense.y, p_NC.shape[1])) / len(dense.x)
        moved = p_NC * (tangent - (p_NC * tangent).sum(dim=-1, keepdim=True)) / len(dense.x)
        found = []
        for layer in reversed(range(len(weights))):
            padded = torch.cat([tangents[layer], torch.zeros_like(tangents[layer][..., :1])], dim=-1)
            found.append(moved.transpose(1, 2) @ with_one(inputs[layer]) + left.T @ padded)
            if layer:
                active = inputs[layer] > 0
                moved = (moved @ weights[layer] + left @ moves[layer][..., :-1]) * active
                left = (left @ weights[layer]) * active
        return torch.cat([part.flatten(1) for part in reversed(found)], dim=1)

    def _solve(self, right_QP: Tensor, ridge: float, tolerance: float) -> Tensor:
        solution, residual = torch.zeros_like(right_QP), right_QP.clone()
        direction, squared = residual.clone(), residual.square().sum(dim=1)
        goal = squared * tolerance**2
        while bool((squared > goal).any()):
            image = self.product(direction) + ridge * direction
            curvature = (direction * image).sum(dim=1)
            if bool((curvature[squared > goal] <= 0).any()):
                raise ValueError(
                    "expected a ridge that makes the Hessian positive definite: take a larger one"
                )
            step = torch.where(squared > goal, squared / curvature, 0.0)[:, None]
            solution += step * direction
            residual -= step * image
            after = residual.square().sum(dim=1)
            direction = residual + (after / squared.clamp_min(1e-300))[:, None] * direction
            squared = after
        return solution


@dataclass(frozen=True)
class LastLayer:
    """The last layer alone: its loss is convex, and its Hessian small enough to write out."""

    dense: Dense

    def inverse(self, ridge: float, batch: int | None = None) -> np.ndarray:
        """Compute q^T (H + ridge)^-1 g; with `batch`, sum the inverses of the batches, as dattri does."""
        rows = len(self.dense.x)
        train_NP = self._gradients(self.dense.x, self.dense.y)
        query_QP = self._gradients(self.dense.query_x, self.dense.query_y)
        starts = range(0, rows, batch or rows)
        total_PP = torch.stack([self._inverse(slice(s, s + (batch or rows)), ridge) for s in starts]).sum(
            dim=0
        )
        return (query_QP @ total_PP @ train_NP.T).numpy()

    def mean_eigenvalue(self) -> float:
        """Average the eigenvalues of H."""
        return float(self._matrix(slice(None)).diagonal().mean())

    def representers(self) -> np.ndarray:
        """Compute (1{y = c} - p_c) (f . f' + 1) for the query's label c: the gain of its logit, bias included."""
        features_NH, p_NC = self._features(self.dense.x)
        right_NC = F.one_hot(self.dense.y, p_NC.shape[1])
        return self._products(right_NC - p_NC, with_one(features_NH), with_one(self._asked()))

    def tuned_representers(self, strength: float) -> np.ndarray:
        """Compute representers of weights (no bias) tuned to the model's answers under an L2 penalty (Yeh et al. 2018)."""
        features_NH, p_NC = self._features(self.dense.x)
        tuned_NC = (features_NH @ self.tuned_weight(strength).T).softmax(dim=1)
        return self._products(p_NC - tuned_NC, features_NH, self._asked())

    def tuned_weight(self, strength: float) -> Tensor:
        """Find the minimum [C, H] of the penalized loss."""
        features_NH, p_NC = self._features(self.dense.x)
        weight = self.dense.weights[f"{LAYERS[-1]}.weight"].double().clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [weight], max_iter=2000, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(features_NH @ weight.T, p_NC) + strength * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return weight.detach()

    def _products(self, shares_NC: Tensor, features_NH: Tensor, asked_QH: Tensor) -> np.ndarray:
        return (shares_NC[:, self.dense.query_y] * (features_NH @ asked_QH.T)).T.numpy()

    def _asked(self) -> Tensor:
        return self._features(self.dense.query_x)[0]

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inputs, p_NC = self.dense.forward(x)
        return inputs[-1], p_NC

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        left, right = self.dense.factors_of(x, y)[0][-1]
        return torch.einsum("no,ni->noi", left, right).flatten(1)

    def _matrix(self, rows: slice) -> Tensor:
        features_NH, p_NC = self._features(self.dense.x[rows])
        curved = torch.diag_embed(p_NC) - p_NC[:, :, None] * p_NC[:, None, :]
        inputs = with_one(features_NH)
        size = p_NC.shape[1] * inputs.shape[1]
        return torch.einsum("nab,ni,nj->aibj", curved, inputs, inputs).reshape(size, size) / len(inputs)

    def _inverse(self, rows: slice, ridge: float) -> Tensor:
        matrix = self._matrix(rows)
        matrix.diagonal().add_(ridge)
        return torch.linalg.inv(matrix)
