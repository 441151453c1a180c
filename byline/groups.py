"""Groups of training points (GGDA, Ley et al. 2024): a row of the index is the sum of its members' features.

For one fixed curvature a group's score is exactly the sum of its members' scores, q^T H^-1 sum_i g_i, so the index has
one row a group: as many times fewer bytes, and as much quicker a search, as a group has points.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from byline.errors import InvalidInput

ATTRIBUTE = "attributes."
"""Prefix of the user's own metadata columns in `GroupOptions.by`."""


ENOUGH_SUMS = 1000
"""Micro-batches that a Fisher matrix is fitted on at least: with fewer, scores differ from those of `sums`."""
LARGEST_MICRO_BATCH = 8
"""Larger ones save no time that counts."""


class GroupOptions(BaseModel):
    """Options that group training points."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(
        default="kmeans", pattern=r"^(owner|label|license|uri|random|kmeans|attributes\.[^.]{1,100})$"
    )
    """`owner`, `label`, `license`, `uri`, `attributes.NAME`: equal values are a group, and points without one are
    alone. `random`: equal sizes. `kmeans`: points that are alike; no group is empty, and sizes differ."""
    of: Literal["inputs", "representations", "last_layer_gradients"] = "last_layer_gradients"
    """Vectors that k-means compares: flattened inputs, `Task.representation`, or the last layer's gradients (a
    forward pass)."""
    size: int | None = Field(default=None, ge=1)
    """Mean number of points of a group, for `random` and `kmeans`."""
    count: int | None = Field(default=None, ge=1)
    """Number of groups, in place of `size`."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the random order, or of k-means' start."""
    build: Literal["sums", "fast"] = "sums"
    """`sums`: features of every point, added up. `fast`: one backward pass of a group's summed loss, no gradient of a
    single point."""
    micro_batch: int | None = Field(default=None, ge=1, le=1024)
    """Points of a random micro-batch: a `fast` build's curvature is fitted on these, not on points. 1 takes points. None
    chooses up to 8, so that a matrix is fitted on `ENOUGH_SUMS` of them or more."""

    @model_validator(mode="after")
    def _sized(self) -> Self:
        clustered = self.by in {"random", "kmeans"}
        given = (self.size is not None) + (self.count is not None)
        if given != (1 if clustered else 0):
            raise InvalidInput(
                f"expected {'exactly one' if clustered else 'none'} of groups.size and groups.count with "
                f"groups.by = '{self.by}', got {given}"
            )
        return self

    def number(self, rows: int) -> int:
        """Count the groups that `random` and `kmeans` make of some rows."""
        wanted = self.count if self.count is not None else -(-rows // (self.size or 1))
        return min(wanted, rows)


@dataclass(frozen=True)
class GroupPartition:
    """A partition of training points into groups: rows in order of the groups, ascending within each."""

    rows_R: NDArray[np.int64]
    ends_J: NDArray[np.int64]
    """End of each group's stretch of `rows_R`."""

    @classmethod
    def of(cls, group_R: NDArray[np.int64]) -> Self:
        """Sort the rows by group.

        Args:
            group_R: Each row's group, numbers without gaps.
        """
        return cls(
            np.argsort(group_R, kind="stable").astype(np.int64),
            np.cumsum(np.bincount(group_R)).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.ends_J)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of points of each group."""
        return np.diff(self.ends_J, prepend=0)

    @property
    def group_of_rows(self) -> NDArray[np.int64]:
        """Each row's group."""
        group_R = np.empty(len(self.rows_R), dtype=np.int64)
        group_R[self.rows_R] = np.repeat(np.arange(len(self)), self.sizes)
        return group_R

    def __getitem__(self, group: int) -> NDArray[np.int64]:
        """Rows of one group, ascending."""
        start = int(self.ends_J[group - 1]) if group else 0
        return self.rows_R[start : int(self.ends_J[group])]

    def points(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """List the rows of several groups, group after group."""
        parts = [self[int(group)] for group in groups]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
