"""Gradients divided by a power of the optimizer's second moment: the root, in TrackStar (Chang et al. 2024).

Dividing entry by entry would leave no outer products. Adafactor (Shazeer & Stern 2018), which trained the paper's models,
keeps a second moment of rank one, by row and by column of each matrix:

    V[o, i] ~ row[o] column[i] / mean,  row[o] = mean_i V[o, i],  column[i] = mean_o V[o, i]

so the left factor is divided by sqrt(row) and the right one by sqrt(column / mean). Other powers than the root are taken
alike (`power`). V is Adam's `exp_avg_sq` where the
checkpoint has one, else the mean squared gradient of single training points. Its sums come from the factors wherever
that is cheaper than a gradient that is written out:

    sum_i G[o, i]^2 = sum_ts l_t[o] l_s[o] (r_t . r_s), and the same with the sides exchanged

over the positions t and s of one example, for all its uses.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import EveryFit, Source, Statistic
from byline.curvature.labels import Labels
from byline.curvature.sums import Sums
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import (
    BatchGradients,
    DenseFactor,
    Factor,
    KroneckerGradient,
    OneHotFactor,
    Use,
    inner,
)
from byline.projection.dense import chunks
from byline.scale.kronecker import OuterScaler
from byline.scale.lazy import EntrywiseGradient, map_blocks
from byline.scale.moments import SECOND, moment_statistics
from byline.types import State


class SecondMoment(BaseModel):
    """Both sides divided by a power of the second moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linear: ClassVar[bool] = True
    """A sum of gradients is divided as its terms are."""
    uses_moments: ClassVar[bool] = True
    """Reads `Checkpoint.optimizer_state`."""
    kind: Literal["second_moment"] = "second_moment"
    factored: bool = True
    """Rank one, as Adafactor keeps it. False divides by every entry's own: the gradients are then written out, and the
    index carries eight bytes a parameter."""
    floor: float = Field(default=0.1, gt=0, le=1e3)
    """Added to the second moments, in units of each block's mean: parameters that hardly ever have a gradient are
    not blown up."""
    power: float = Field(default=0.5, gt=0, le=1)
    """Gradients are divided by v to this power. 0.5 divides by the root, as TrackStar does. 0.25 is Adam's own geometry:
    its step -eta g / sqrt(v) is plain gradient descent of parameters whose gradients are g / v^0.25."""
    sample: int | None = Field(default=None, ge=1)
    """Training points that a missing second moment is estimated from, drawn at random. None takes all."""

    def statistics(self, blocks: Sequence[Block], given: State | None) -> tuple[Statistic, ...]:
        """List the second moments, where they are not given."""
        if self.factored:
            return (MarginalStatistic(blocks, self, given),)
        return moment_statistics(blocks, self.sample, given)

    def scaler(self, state: State) -> OuterScaler:
        """Take the second moments from the state."""
        return _FactoredScaler(state) if self.factored else _EntrywiseScaler(self, state)


class MarginalStatistic(EveryFit):
    """Row and column means of every block's second moment."""

    name = "second_moment"
    source: Source = "gradients"
    labels: Labels = "given"

    def __init__(self, blocks: Sequence[Block], options: SecondMoment, given: State | None) -> None:
        self._blocks, self._given, self._options = blocks, given, options
        self.sample = 0 if given is not None else options.sample

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Compute the sums of squares by row and by column."""
        del state
        assert isinstance(batch, BatchGradients)
        sums: State = {}
        for block in self._blocks:
            by_row, by_column = squares_by_row_and_column(batch.blocks[block.name], len(batch))
            sums |= {f"{block.name}.rows": by_row, f"{block.name}.columns": by_column}
        return sums

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the factors of both sides of every block."""
        del state
        fitted: State = {}
        for block in self._blocks:
            if self._given is not None:
                second_OI = self._given[f"{block.name}.{SECOND}"].double()
                row_O, column_I = second_OI.mean(dim=1), second_OI.mean(dim=0)
            else:
                row_O = sums[f"{block.name}.rows"] / count / block.columns
                column_I = sums[f"{block.name}.columns"] / count / block.rows
            sides = rank_one_scale(row_O, column_I, self._options.floor, self._options.power)
            fitted |= {f"{block.name}.scale_left": sides[0], f"{block.name}.scale_right": sides[1]}
        return fitted


def rank_one_scale(
    row_O: Tensor, column_I: Tensor, floor: float, power: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Inverse powers of a second moment of rank one, a side each.

    Args:
        row_O: Its means by row.
        column_I: Its means by column.
        floor: Added to both, in units of the mean.
        power: 0.5 for the inverse root.

    Returns:
        float32 [O] and [I]; ones where the second moment is zero throughout.
    """
    mean = row_O.mean()
    if float(mean) <= 0:
        return torch.ones_like(row_O).float(), torch.ones_like(column_I).float()
    left_O, right_I = row_O + floor * mean, column_I / mean + floor
    return _inverse(left_O, power).float(), _inverse(right_I, power).float()


def _inverse(second: Tensor, power: float) -> Tensor:
    """Compute 1 / second^power, entry by entry."""
    return second.rsqrt() if power == 0.5 else second.pow(-power)


class _FactoredScaler:
    def __init__(self, state: State) -> None:
        self._state = state

    def train(self, gradients: BatchGradients) -> BatchGradients:
        return map_blocks(gradients, self._scaled)

    def query(self, gradients: BatchGradients) -> BatchGradients:
        return map_blocks(gradients, self._scaled)

    def sides(self, name: str) -> tuple[Tensor, Tensor]:
        return self._state[f"{name}.scale_left"], self._state[f"{name}.scale_right"]

    def _scaled(self, name: str, gradient: KroneckerGradient) -> KroneckerGradient:
        left_O, right_I = self.sides(name)
        return KroneckerGradient([scale_use(use, left_O, right_I) for use in gradient.uses])


def scale_use(use: Use, left_O: Float[Tensor, "O"], right_I: Float[Tensor, "I"]) -> Use:
    """Multiply both sides of outer products. A one-hot side stays one, and the other side takes its number."""
    left, right = use.left, use.right
    if isinstance(left, OneHotFactor):
        right_NTI = right.dense()
        at_NT = left_O.to(right_NTI)[left.indices_NT]
        return Use(left, DenseFactor(right_NTI * right_I.to(right_NTI) * at_NT[..., None]))
    left_NTO = left.dense()
    left_NTO = left_NTO * left_O.to(left_NTO)
    if isinstance(right, OneHotFactor):
        at_NT = right_I.to(left_NTO)[right.indices_NT]
        return Use(DenseFactor(left_NTO * at_NT[..., None]), right)
    right_NTI = right.dense()
    return Use(DenseFactor(left_NTO), DenseFactor(right_NTI * right_I.to(right_NTI)))


class _EntrywiseScaler:
    def __init__(self, options: SecondMoment, state: State) -> None:
        self._options, self._state = options, state

    def train(self, gradients: BatchGradients) -> BatchGradients:
        return map_blocks(gradients, self._scaled)

    def query(self, gradients: BatchGradients) -> BatchGradients:
        return map_blocks(gradients, self._scaled)

    def sides(self, name: str) -> tuple[Tensor, Tensor]:
        second_OI = self._state[f"{name}.{SECOND}"].double()
        row_O, column_I = second_OI.mean(dim=1), second_OI.mean(dim=0)
        return rank_one_scale(row_O, column_I, self._options.floor, self._options.power)

    def _scaled(self, name: str, gradient: KroneckerGradient) -> KroneckerGradient:
        second_OI = self._state[f"{name}.{SECOND}"]
        mean = float(second_OI.mean())
        smoothed_OI = second_OI + (self._options.floor * mean if mean > 0 else 1.0)
        return EntrywiseGradient(gradient.uses, partial(_divided, self._options.power), [smoothed_OI])


def _divided(power: float, grads: Tensor, second: Tensor) -> Tensor:
    return grads * _inverse(second, power).to(grads)


def squares_by_row_and_column(gradient: KroneckerGradient, count: int) -> tuple[Tensor, Tensor]:
    """Add up squared entries over the examples and over one side of the matrix.

    Args:
        gradient: One block.
        count: N.

    Returns:
        float64 [O] and [I].
    """
    rows, columns = gradient.shape
    positions = max(use.active().shape[1] for use in gradient.uses)
    if positions * (rows + columns) > rows * columns:
        return _written_out(gradient, count)
    by_row = by_column = None
    for one in gradient.uses:
        for other in gradient.uses:
            row_O = _paired(one.left, other.left, inner(one.right, other.right))
            column_I = _paired(one.right, other.right, inner(one.left, other.left))
            by_row = row_O if by_row is None else by_row + row_O
            by_column = column_I if by_column is None else by_column + column_I
    assert by_row is not None
    assert by_column is not None
    return by_row.clamp_min(0), by_column.clamp_min(0)  # rounding of sums that cancel


def _paired(one: Factor, other: Factor, pairs_NTS: Float[Tensor, "N T S"]) -> Tensor:
    """Sum over n, t and s of pairs[n, t, s] one[n, t] * other[n, s], entry by entry: float64 [D]."""
    if isinstance(other, OneHotFactor) and not isinstance(one, OneHotFactor):
        return _paired(other, one, pairs_NTS.transpose(1, 2))
    if isinstance(one, OneHotFactor):
        weights_NT = (pairs_NTS * inner(one, other)).sum(dim=2).double()
        total_D = weights_NT.new_zeros(one.width)
        return total_D.index_add_(0, one.indices_NT.flatten(), weights_NT.flatten())
    return ((pairs_NTS @ other.dense()) * one.dense()).sum(dim=(0, 1)).double()


def _written_out(gradient: KroneckerGradient, count: int) -> tuple[Tensor, Tensor]:
    columns = gradient.shape[1]
    by_row, by_column = [], torch.zeros((), dtype=torch.float64)
    for _, part_NP in chunks(gradient, count):
        squares = part_NP.reshape(count, -1, columns).square().sum(dim=0).double()
        by_row.append(squares.sum(dim=1))
        by_column = by_column.to(squares.device) + squares.sum(dim=0)
    return torch.cat(by_row), by_column
