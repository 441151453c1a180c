"""The interface of curvatures: statistics that are summed over training points, and a damped power of the result.

A fit is a list of `Statistic`s. Each measures batches, its sums are added up in float64 and in a fixed
order by the caller, and `finish` turns them into state. Statistics are stateless.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from byline.curvature.labels import Labels
from byline.curvature.products import Matrix
from byline.curvature.sums import Sums
from byline.gradients.outer_products.blocks import Block
from byline.projection.base import ProjectionSpec
from byline.types import State

Source = Literal["gradients", "positions", "projected", "products", "evaluation"]
"""Input of a statistic: gradients (`BatchGradients`), gradients with all positions' own outer products, vectors that are
already projected (phi_NK),
what a batch's curvature matrix makes of vectors (`BatchProducts`), or the projected gradients of the evaluation set's
items as queries (phi_NK)."""
SCRATCH = "scratch."
"""Prefix of state entries that later statistics read and an index does not keep."""


class BatchProducts(Protocol):
    """The curvature matrix of one batch's summed loss, as a function of the vectors that it multiplies."""

    def __len__(self) -> int:
        """Number of examples."""

    def __call__(self, vectors_VP: Tensor, matrix: Matrix) -> Tensor:
        """H v of every row, float64. P runs over all parameters, block after block, as in `BatchGradients.dense`."""


class Statistic(Protocol):
    """One pass of a fit."""

    @property
    def name(self) -> str:
        """Names the pass: `factors`, `eigenvalues`, `fisher`."""

    @property
    def source(self) -> Source:
        """Input of `measure`."""

    @property
    def labels(self) -> Labels:
        """Labels of the measured gradients."""

    @property
    def sample(self) -> int | None:
        """Number of training points to measure, drawn at random. None measures all."""

    @property
    def reads_state(self) -> bool:
        """Whether it reads what statistics before it fitted. Otherwise that takes no memory beside its sums."""

    def needed(self, rows: int) -> bool:
        """Tell whether a fit to this many training points needs this pass."""

    def measure(self, batch: Any, state: State) -> Sums:
        """Compute the sums over one batch of what `source` says, float64. They are added to those of other batches."""

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """New entries of the state, from the sums over `count` examples."""


class EveryFit:
    """A pass that a fit needs for any number of training points."""

    reads_state: bool = True

    def needed(self, rows: int) -> bool:
        """Return True."""
        del rows
        return True


class Preconditioner(Protocol):
    """A fitted curvature."""

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """(H + damping)^power applied to every row, up to a rotation that is the same for every power."""


class NoCurvature(BaseModel):
    """The identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none"] = "none"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """Return no statistic: nothing is fitted."""
        del blocks, projection
        return ()

    def preconditioner(self, state: State) -> Preconditioner:
        """Make the identity."""
        del state
        return _as_it_is


def _as_it_is(phi_NK: Tensor, power: float) -> Tensor:
    del power
    return phi_NK
