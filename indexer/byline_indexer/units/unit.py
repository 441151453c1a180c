"""Define the units of a build: small tasks that can run in any order, any number of times."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Stage(StrEnum):
    """Stages of a build, in the order in which a member goes through them."""

    MEASURE = "measure"
    """Adds up a statistic over one block of the fit sample."""
    REDUCE = "reduce"
    """Adds the blocks' sums in their order and finishes the statistic."""
    PROJECT = "project"
    """Projects the gradients of one block of rows. Only where a statistic is of projected
    gradients."""
    TRACE = "trace"
    """Follows the visits of one span of a recorded run to the final weights. Spans from the last to the first.
    This and what follows only where features come from a recorded run."""
    CARRY = "carry"
    """Makes what the span before it needs: the product of the later steps' matrices."""
    WIDEN = "widen"
    """Makes the features of the rows in one block that a PCA is fitted on, before they are rotated. Only where the recipe
    has a PCA."""
    EMIT = "emit"
    """Makes the features of one block of rows: one member's part of the rotated ones where the recipe has a PCA."""
    WEIGH = "weigh"
    """Takes the row weights of one block under masks that serve nothing else. One unit for all masks of a
    model, and only where the recipe has such."""
    SKETCH = "sketch"
    """Multiplies all members' features of one block of rows by what a pass of the PCA begins with. This and
    what follows only where the recipe has a PCA."""
    GATHER = "gather"
    """Adds up one member's features times the sketches, over all blocks."""
    MIX = "mix"
    """Orthonormalizes the sums of all members together."""
    DIRECT = "direct"
    """Makes one member's directions."""
    ROTATE = "rotate"
    """Adds up all members' parts of one block of rows."""


ENSEMBLE = "ensemble"
"""In place of a member's name, for units that read all members."""


def family(statistic: str) -> str:
    """Strip the number of its step, which follows a dot, from a statistic's name."""
    return statistic.partition(".")[0]


@dataclass(frozen=True, order=True)
class Unit:
    """One idempotent task: reads finished outputs and the training set, writes one output."""

    stage: Stage
    member: str
    block: int
    statistic: str = ""
    """The statistic that is measured or reduced, or the number of the PCA's pass. Empty for the other stages."""

    @property
    def path(self) -> PurePosixPath:
        """Path of its output and its receipt, without a suffix."""
        stage = f"{self.stage}-{self.statistic}" if self.statistic else str(self.stage)
        return PurePosixPath(self.member) / stage / f"{self.block:07d}"

    @property
    def family(self) -> str:
        """Name of the statistic without the number of its step."""
        return family(self.statistic)

    @property
    def number(self) -> int:
        """Number of the PCA's pass that it belongs to."""
        return int(self.statistic)

    def __str__(self) -> str:
        statistic = f" of '{self.statistic}'" if self.statistic else ""
        return f"stage '{self.stage}'{statistic}, member {self.member}, block {self.block}"
