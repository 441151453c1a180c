"""Whether two batches of gradients are the same, but for rounding."""

import torch

from byline.gradients.factors import BatchGradients, KroneckerGradient

TOLERANCE = 2e-3
"""Difference in units of a block's gradient that is rounding."""
OF_THE_WHOLE = 1e-4
"""The same in units of the whole gradient: blocks whose gradient nearly vanishes are differences of large numbers."""
_ENTRIES = 1 << 20


def same_gradients(one: BatchGradients, other: BatchGradients, rounding: float = 0.0) -> bool:
    """Compare block by block, some rows at a time, so that no whole gradient is held.

    Args:
        one: Gradients of a model.
        other: Gradients of the same examples.
        rounding: What the precision of the passes loses, where it is more than float32's.
    """
    total_N = torch.stack([g.squared_norms() for g in one.blocks.values()]).sum(dim=0).clamp_min(0).sqrt()
    coarse = max(rounding, 4 * torch.finfo(one.objective_N.dtype).eps)
    return all(
        _differences(gradient, other.blocks[name])
        <= max(TOLERANCE, coarse) * _length(gradient)
        + max(OF_THE_WHOLE, coarse) * float(total_N.norm())
        + 1e-30
        for name, gradient in one.blocks.items()
    )


def _length(gradient: KroneckerGradient) -> float:
    return float(gradient.squared_norms().clamp_min(0).sum().sqrt())


def _differences(one: KroneckerGradient, other: KroneckerGradient) -> float:
    rows, columns = one.shape
    step = max(1, _ENTRIES // columns)
    parts = [
        (one.rows(start, min(start + step, rows)) - other.rows(start, min(start + step, rows))).norm()
        for start in range(0, rows, step)
    ]
    return float(torch.stack(parts).norm())
