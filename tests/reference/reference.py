"""Brute force in float64: what every fast path of Byline is held against.

Written from the formulas, one example at a time, and sharing no code with what it checks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray


def gradients_one_by_one(
    model: nn.Module,
    objective: Callable[[nn.Module, Any], Tensor],
    batches: Sequence[Any],
    names: Sequence[str],
) -> list[dict[str, Tensor]]:
    """Plain autograd, one example a time: parameter name -> gradient, for each batch of one."""
    parameters = dict(model.named_parameters())
    rows = []
    for batch in batches:
        chosen = [parameters[name].requires_grad_() for name in names]
        grads = torch.autograd.grad(objective(model, batch).sum(), chosen, allow_unused=True)
        pairs = zip(names, chosen, grads, strict=True)
        rows.append({n: torch.zeros_like(p) if g is None else g for n, p, g in pairs})
        model.requires_grad_(requires_grad=False)
    return rows


def block_matrices(blocks: Sequence[Any], rows: Sequence[dict[str, Tensor]]) -> dict[str, Array]:
    """[N, O, I] for each block: weight as a matrix, a folded bias as the last column."""
    matrices = {}
    for block in blocks:
        per_example = []
        for row in rows:
            weight = row[block.parameters[0]].double()
            if block.form == "transposed":
                weight = weight.T
            matrix = weight.reshape(-1, 1) if block.form == "vector" else weight.reshape(weight.shape[0], -1)
            columns = [matrix, *(row[bias].double()[:, None] for bias in block.parameters[1:])]
            per_example.append(torch.cat(columns, dim=1).numpy())
        matrices[block.name] = np.stack(per_example)
    return matrices


def flat(matrices: dict[str, Array]) -> Array:
    """[N, P]: every block's numbers, block after block."""
    return np.concatenate([m.reshape(m.shape[0], -1) for m in matrices.values()], axis=1)


def fisher_scores(
    query_QK: Array,
    train_NK: Array,
    damping: float,
    widths: Sequence[int],
    fitted_on: tuple[Array, int] | None = None,
) -> Array:
    """q^T (F + damping * mean eigenvalue)^-1 g, block by block, by solving the linear system.

    F is of the training gradients, or of `fitted_on`: weighted gradients at other labels, and their points' number.
    """
    fit, count = fitted_on or (train_NK, len(train_NK))
    total = np.zeros((query_QK.shape[0], train_NK.shape[0]))
    start = 0
    for width in widths:
        query, train = query_QK[:, start : start + width], train_NK[:, start : start + width]
        fisher = fit[:, start : start + width].T @ fit[:, start : start + width] / count
        damped = fisher + damping * np.trace(fisher) / width * np.eye(width)
        total += query @ np.linalg.solve(damped, train.T)
        start += width
    return total


def ekfac_scores(
    query: dict[str, Array],
    train: dict[str, Array],
    factors: dict[str, tuple[Array, Array]],
    damping: float,
    *,
    corrected: bool,
    means: dict[str, float] | None = None,
    horizon: float | None = None,
) -> Array:
    """q^T (H + damping * mean)^-1 g with H = (U_B (x) U_A) diag(L) (U_B (x) U_A)^T, nothing truncated.

    Args:
        query: Block -> [Q, O, I].
        train: Block -> [N, O, I].
        factors: Block -> (B, A), the second moments of its two sides.
        damping: In units of the mean of L.
        means: Block -> mean eigenvalue, where it is not that of L here.
        horizon: Learning rate x steps of a run: (1 - exp(-horizon L)) / L takes the place of the damped inverse.
        corrected: L measured in the eigenbasis (EK-FAC), or the product of the factors' eigenvalues (K-FAC).
    """
    total = 0.0
    for name, (left, right) in factors.items():
        left_values, left_vectors = np.linalg.eigh(left)
        right_values, right_vectors = np.linalg.eigh(right)
        rotated_train = left_vectors.T @ train[name] @ right_vectors
        rotated_query = left_vectors.T @ query[name] @ right_vectors
        values = (rotated_train**2).mean(axis=0) if corrected else np.outer(left_values, right_values)
        inverse = 1 / (values + damping * (means[name] if means else values.mean()))
        if horizon is not None:
            inverse = np.where(
                values > 1e-12, -np.expm1(-horizon * values) / np.maximum(values, 1e-12), horizon
            )
        total = total + np.einsum("qoi,oi,noi->qn", rotated_query, inverse, rotated_train)
    return np.asarray(total)


def datainf_scores(query_QK: Array, train_NK: Array, damping: float, widths: Sequence[int]) -> Array:
    """q^T [(1/n) sum_i (lam I + g_i g_i^T)^-1] g, block by block, by inverting every example's matrix."""
    total = np.zeros((query_QK.shape[0], train_NK.shape[0]))
    start = 0
    for width in widths:
        query, train = query_QK[:, start : start + width], train_NK[:, start : start + width]
        lam = damping * (train**2).mean()
        inverses = [np.linalg.inv(lam * np.eye(width) + np.outer(g, g)) for g in train]
        total += query @ np.mean(inverses, axis=0) @ train.T
        start += width
    return total


def damped(matrix: Array, damping: float) -> Array:
    """matrix + damping * mean eigenvalue * I."""
    return matrix + damping * np.trace(matrix) / len(matrix) * np.eye(len(matrix))


def ritz_scores(query_QP: Array, train_NP: Array, matrix: Array, size: int, damping: float) -> Array:
    """q^T V (theta + damping * mean theta)^-1 V^T g over the largest positive eigenpairs."""
    values, vectors = np.linalg.eigh(matrix)
    kept = np.argsort(-values)[:size]
    kept = kept[values[kept] > 1e-6 * np.abs(values).max()]
    inverse = 1 / (values[kept] + damping * values[kept].mean())
    return (query_QP @ vectors[:, kept] * inverse) @ (train_NP @ vectors[:, kept]).T
