"""Filters of a curvature's spectrum: the number that takes the place of an eigenvalue L when the curvature is inverted.

damped       1 / (L + damping m), m the block's mean eigenvalue
finite_run   (1 - exp(-h L)) / L, h = time x learning rate x steps

The second is the run itself: gradient descent for T steps of size eta from a model that is linear in its parameters reaches
(I - (I - eta H)^T) H^-1 g, and (1 - eta L)^T is close to exp(-eta T L) where eta L is small (Bae et al. 2024 take it for
segments of a run). Directions that the run had no time for count as eta T and not as 1 / L, and no damping is chosen.

L must be the curvature of the loss that a step descends, which is the mean over examples. Byline's eigenvalues E[R^2] are of
single examples' gradients and have this scale. A loss that is itself a mean over t tokens has a Gauss-Newton matrix about
t times as large as E[g g^T], where tokens' gradients are uncorrelated. `time` corrects for that.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import EveryFit, Source
from byline.curvature.labels import Labels
from byline.curvature.sums import Sums
from byline.gradients.outer_products.factors import BatchGradients
from byline.types import State

FilterName = Literal["damped", "finite_run"]
RUN_TIME = "run.time"
"""State entry: learning rate x steps of the member's checkpoint."""


class SpectralFilter(Protocol):
    """A positive function of eigenvalues that takes the place of their inverse."""

    def inverse(self, eigenvalues: Tensor, mean: Tensor) -> Tensor:
        """Compute 1 / filter, which is the eigenvalue plus its damping.

        Args:
            eigenvalues: Of one block, not negative.
            mean: Mean eigenvalue of the whole block, above zero.

        Returns:
            Positive numbers, shaped like the eigenvalues.
        """


@dataclass(frozen=True)
class Damped:
    """1 / (L + damping * mean)."""

    damping: float
    """In units of the mean."""

    def inverse(self, eigenvalues: Tensor, mean: Tensor) -> Tensor:
        """Compute L + damping * mean."""
        return eigenvalues + self.damping * mean


@dataclass(frozen=True)
class FiniteRun:
    """(1 - exp(-horizon L)) / L, and the horizon where L is zero."""

    horizon: float
    """Learning rate x steps, in units of one over a curvature."""

    def inverse(self, eigenvalues: Tensor, mean: Tensor) -> Tensor:
        """Compute L / (1 - exp(-horizon L))."""
        del mean
        passed = eigenvalues.double() * self.horizon
        # x / (1 - exp(-x)) = 1 + x/2 + ... : the quotient of two zeros is the limit.
        ratio = torch.where(passed > 1e-8, passed / -torch.expm1(-passed.clamp_min(1e-8)), 1 + passed / 2)
        return ratio / self.horizon


class FilteredCurvature(BaseModel):
    """Options of curvatures whose spectrum is filtered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    damping: float = Field(default=1.0, gt=0, le=1e6)
    """Damping, in units of the mean eigenvalue. Accuracy depends on it: choose it on held-out queries."""
    filter: FilterName = "damped"
    """`damped` inverts L + damping. `finite_run` takes (1 - exp(-h L)) / L in its place, with h of the checkpoint's
    `learning_rate` x `steps`, and ignores the damping."""
    time: float = Field(default=1.0, gt=0, le=1e9)
    """Multiplies learning rate x steps in `finite_run`: for a schedule (.5 for a linear decay from that rate), momentum, or
    the scale of the loss (docs/methods.md)."""

    def spectral_filter(self, state: State) -> SpectralFilter:
        """Make the filter, of the run's time in the state where it needs one."""
        if self.filter == "damped":
            return Damped(self.damping)
        return FiniteRun(self.time * float(state[RUN_TIME]))


class RunTimeStatistic(EveryFit):
    """The time of the run that a checkpoint comes from. It is given, so no training point is measured."""

    name = "run_time"
    source: Source = "gradients"
    labels: Labels = "given"
    sample = 0

    def __init__(self, time: float) -> None:
        self._time = time

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Return nothing."""
        del batch, state
        return {}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Return the time."""
        del sums, count, state
        return {RUN_TIME: torch.tensor(self._time, dtype=torch.float64)}
