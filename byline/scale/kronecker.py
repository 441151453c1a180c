"""Kronecker curvature of scaled gradients: what its statistics measure where a scale comes first.

With D = diag(v)^-power of a scale, curvature and projection are of D g instead of g:

    score = (D q)^T (H_D + d)^-1 (D g),  H_D = (U_L (x) U_R) L (U_L (x) U_R)^T

Eigenvectors need outer products. They are of the scale of rank one, D = a b^T entry by entry, which multiplies both sides of
every outer product, so the factors are known without another pass:

    B_D = diag(a) B diag(a),  A_D = diag(b) A diag(b)

Eigenvalues and projected values are of D g itself: L = E[(U_L^T (D g) U_R)^2]. That is the correction of EK-FAC, and it is
right in any orthonormal basis. So an entrywise scale, which leaves no outer products, is exact in the eigenvalues and in the
features, and its rank-one form chooses the basis alone. (K-FAC, which has no correction, then has the eigenvalues of the
rank-one form.)
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from torch import Tensor

from byline.curvature.base import Source, Statistic
from byline.curvature.kronecker import FactorStatistic
from byline.curvature.labels import Labels
from byline.curvature.moments import pack, unpack
from byline.curvature.sums import LazySums, Sums
from byline.gradients.outer_products.factors import BatchGradients
from byline.scale.base import Scaler
from byline.types import State


class OuterScaler(Scaler, Protocol):
    """A fitted scale with a form of rank one."""

    def sides(self, name: str) -> tuple[Tensor, Tensor]:
        """Look up the factors of both sides of a block's outer products, [O] and [I]."""


class OuterScale(Protocol):
    """A row of configuration that names such a scale."""

    def scaler(self, state: State) -> OuterScaler:
        """Take what was fitted from the state."""


def scaled_statistics(scale: OuterScale, statistics: Sequence[Statistic]) -> tuple[Statistic, ...]:
    """Let the statistics of a curvature measure scaled gradients. Those of projected gradients already do.

    Args:
        scale: The recipe's.
        statistics: The curvature's, fitted after the scale.
    """
    return tuple(_scaled(scale, statistic) for statistic in statistics)


def _scaled(scale: OuterScale, statistic: Statistic) -> Statistic:
    if isinstance(statistic, FactorStatistic):
        return ScaledFactorStatistic(scale, statistic)
    return ScaledStatistic(scale, statistic) if statistic.source == "gradients" else statistic


class ScaledStatistic:
    """A statistic of gradients, measured on scaled ones."""

    source: Source = "gradients"
    reads_state = True

    def __init__(self, scale: OuterScale, statistic: Statistic) -> None:
        self._scale, self._statistic = scale, statistic
        self.name: str = statistic.name
        self.sample: int | None = statistic.sample
        self.labels: Labels = statistic.labels

    def needed(self, rows: int) -> bool:
        """Tell whether the statistic needs its pass."""
        return self._statistic.needed(rows)

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute the sums over scaled gradients, each block scaled when it is looked up."""
        assert isinstance(batch, BatchGradients)
        return self._statistic.measure(self._scale.scaler(state).train(batch), state)

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Return what the statistic makes of the sums."""
        return self._statistic.finish(sums, count, state)


class ScaledFactorStatistic(ScaledStatistic):
    """Second moments of both sides, scaled when they are added up: the sides themselves are measured as they come."""

    source: Source = "positions"

    def __init__(self, scale: OuterScale, statistic: FactorStatistic) -> None:
        super().__init__(scale, statistic)
        self._blocks = statistic.blocks

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute the sums over the gradients as they come."""
        return self._statistic.measure(batch, state)

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Multiply both sides of each factor, and return what the statistic makes of them."""
        scaler = self._scale.scaler(state)
        scaled = LazySums(
            [
                (
                    [f"{block.name}.{part}" for part in ("left", "right", "positions")],
                    partial(_scaled_moments, sums, block.name, scaler),
                )
                for block in self._blocks
            ]
        )
        return self._statistic.finish(scaled, count, state)


def _scaled_moments(sums: Sums, name: str, scaler: OuterScaler) -> State:
    scaled = {f"{name}.positions": sums[f"{name}.positions"]}
    for side, factor_D in zip(("left", "right"), scaler.sides(name), strict=True):
        moment = multiply_moment(unpack(sums[f"{name}.{side}"], len(factor_D)), factor_D)
        scaled[f"{name}.{side}"] = moment if moment.dim() == 1 else pack(moment)
    return scaled


def multiply_moment(moment: Tensor, factor_D: Tensor) -> Tensor:
    """Compute the second moment of vectors that are multiplied entry by entry.

    Args:
        moment: Of the vectors as they are, [D, D], or its diagonal [D].
        factor_D: Their factors.

    Returns:
        As `moment`.
    """
    own_D = factor_D.to(moment)
    return moment * own_D.square() if moment.dim() == 1 else own_D[:, None] * moment * own_D
