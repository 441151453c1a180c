"""First and second moments of every parameter's gradient: Adam's own, or estimated from the training points.

Estimated: exp_avg = (1/n) sum_i g_i and exp_avg_sq = (1/n) sum_i g_i^2, entry by entry, over single training points. An
optimizer's own are of batches, whose mean gradients are shorter. Ratios between parameters are what counts here.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from byline.curvature.base import EveryFit, Source
from byline.curvature.labels import Labels
from byline.curvature.sums import LazySums, Sums, wave_name, waves
from byline.errors import InvalidTask
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, DenseFactor, KroneckerGradient
from byline.projection.dense import chunks
from byline.types import State

FIRST, SECOND = "exp_avg", "exp_avg_sq"
"""The names that torch's Adam gives the moments, and that states carry them under: `BLOCK.exp_avg`."""


def block_moments(
    blocks: Sequence[Block], tensors: Mapping[str, Tensor], moments: Sequence[str] = (FIRST, SECOND)
) -> State:
    """Bring an optimizer's moments to the form of the blocks.

    Args:
        blocks: Attributed parameter blocks.
        tensors: `exp_avg/PARAMETER` and `exp_avg_sq/PARAMETER`, shaped like the parameters.
        moments: The moments to bring.

    Returns:
        `BLOCK.exp_avg` and `BLOCK.exp_avg_sq`, float32 [O, I].

    Raises:
        InvalidTask: A parameter's moments are missing, have another shape, or are not finite.
    """
    found: State = {}
    for block in blocks:
        for moment in moments:
            for name, shape in zip(block.parameters, block.shapes, strict=True):
                _check(f"{moment}/{name}", tensors.get(f"{moment}/{name}"), shape)
            own = {name: tensors[f"{moment}/{name}"].detach().float()[None] for name in block.parameters}
            found[f"{block.name}.{moment}"] = block.matrix(own)[0].contiguous()
    return found


def _check(name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> None:
    if tensor is None:
        raise InvalidTask(
            f"expected '{name}' in Checkpoint.optimizer_state, got none: byline.models.optimizer_state.adam_state takes the "
            f"moments of every parameter, or leave optimizer_state out and they are estimated"
        )
    if tuple(tensor.shape) != shape:
        raise InvalidTask(
            f"expected '{name}' in Checkpoint.optimizer_state of shape {shape}, got {tuple(tensor.shape)}"
        )
    if not bool(tensor.isfinite().all()):
        raise InvalidTask(f"expected finite numbers in '{name}' of Checkpoint.optimizer_state, got others")


def moment_statistics(
    blocks: Sequence[Block], sample: int | None, given: State | None
) -> "tuple[MomentStatistic, ...]":
    """List the moments of all blocks, in waves where their sums do not fit in memory together.

    Args:
        blocks: Attributed parameter blocks.
        sample: Training points to estimate missing moments from. None takes all.
        given: The optimizer's moments, where there are any.
    """
    if given is not None:
        return (MomentStatistic(blocks, sample, given),)
    cut = waves(blocks, lambda block: 16 * block.rows * block.columns)
    return tuple(
        MomentStatistic(wave, sample, None, wave_name("moments", n, len(cut))) for n, wave in enumerate(cut)
    )


class MomentStatistic(EveryFit):
    """Both moments of every parameter: 16 bytes a parameter while they are added up, 8 in the state.

    Args:
        blocks: Blocks of one wave.
        sample: Training points to estimate them from. None takes all.
        given: The optimizer's, where there are any.
        name: The wave's.
    """

    source: Source = "gradients"
    labels: Labels = "given"
    reads_state = False

    def __init__(
        self, blocks: Sequence[Block], sample: int | None, given: State | None, name: str = "moments"
    ) -> None:
        self._blocks, self._given, self.name = blocks, given, name
        self.sample = 0 if given is not None else sample

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute the sums of gradients and of their squares, block after block."""
        del state
        assert isinstance(batch, BatchGradients)
        return LazySums(
            [
                (
                    [f"{block.name}.{FIRST}", f"{block.name}.{SECOND}"],
                    partial(_block_sums, batch, block.name),
                )
                for block in self._blocks
            ]
        )

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Return the optimizer's moments where there are any, else the means."""
        del state
        return self._given or {name: (total / count).float() for name, total in sums.items()}


def _block_sums(batch: BatchGradients, name: str) -> State:
    first_OI, second_OI = moment_sums(batch.blocks[name], len(batch))
    return {f"{name}.{FIRST}": first_OI, f"{name}.{SECOND}": second_OI}


def moment_sums(gradient: KroneckerGradient, count: int) -> tuple[Tensor, Tensor]:
    """Compute the sum over the examples of G_n and of its square, entry by entry.

    Args:
        gradient: One block.
        count: N.

    Returns:
        Two float64 [O, I].
    """
    use = gradient.uses[0]
    left, right = use.left, use.right
    if len(gradient.uses) == 1 and isinstance(left, DenseFactor) and isinstance(right, DenseFactor):
        left_NTO, right_NTI = left.dense(), right.dense()
        if left_NTO.shape[1] == 1:  # squares of products are products of squares
            left_NO, right_NI = left_NTO[:, 0], right_NTI[:, 0]
            return (left_NO.T @ right_NI).double(), (left_NO.square().T @ right_NI.square()).double()
    numbers = gradient.shape[0] * gradient.shape[1]
    first_P, second_P = torch.empty(2, numbers, dtype=torch.float64, device=gradient.device)
    for start, part_NP in chunks(gradient, count):
        first_P[start : start + part_NP.shape[1]] = part_NP.sum(dim=0)
        second_P[start : start + part_NP.shape[1]] = part_NP.square().sum(dim=0)
    return first_P.reshape(gradient.shape), second_P.reshape(gradient.shape)
