"""The contents of an index, as a finished build hands them to the writer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from byline.api.example import Example
from byline.gradients.outer_products.blocks import Block
from byline.gradients.report import ParameterReport
from byline.groups import GroupPartition
from byline.index.fingerprint import Fingerprint
from byline.index.layout import GroupRecord, MemberLayout, RotationLayout, StorageOptions, Stretch, TaskRecord
from byline.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups of an index's rows."""

    members: GroupPartition
    record: GroupRecord


@dataclass(frozen=True, kw_only=True)
class IndexContents:
    """Everything that goes into an index. Row r means the same training point, or group, in every part.

    Vectors and examples are streams: nothing here holds more than a block of them.
    """

    recipe: Recipe
    """The method."""
    fingerprint: Fingerprint
    """Digests of everything that the build was made from."""
    task: TaskRecord
    """Reference, digest and name of the Task."""
    blocks: tuple[Block, ...]
    """Attributed parameter blocks: an index projects gradients with them when it is opened without its Task."""
    parameters: ParameterReport
    """Attributed, unused and frozen parameters."""
    members: tuple[MemberLayout, ...]
    """The ensemble, in the order of the stretches of a vector."""
    rows: int
    """R, the number of training points, or of groups."""
    features: Callable[[], Iterator[NDArray[np.float32]]]
    """Starts a stream of float32 [B, K] blocks in row order, combined over members, not row-weighted."""
    row_weights: NDArray[np.float64] | None
    """[R], multiplied into the stored vectors. None for weights of one."""
    self_influence: NDArray[np.float64]
    """[R]."""
    examples: Callable[[], Iterator[Example]]
    """Starts a stream of the rows' metadata, in row order."""
    states: Mapping[str, Mapping[str, Tensor]]
    """Member name -> fitted state."""
    build: Mapping[str, JsonValue]
    """Settings that bits depend on: recorded and hashed; no times, paths or host names."""
    queries: Callable[[], Mapping[str, NDArray[np.float32]]] | None = None
    """Makes features [Q, K] of real queries, by the target that they attribute: what the recall of compressed search is
    measured on beside the rows. Called once, and only where there are codes."""
    item_digests: NDArray[np.uint64] | None = None
    """[R], `byline.digests.short_digest` of every training point. None for groups."""
    groups: Groups | None = None
    """Groups that the rows stand for. None where rows are training points."""
    rotation: RotationLayout | None = None
    """The one stretch of features that a PCA made. None where they are the members' side by side."""
    storage: StorageOptions = field(default_factory=StorageOptions)
    """Storage and search of the vectors."""

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Parts of a vector, each with a scale of its own."""
        return self.members if self.rotation is None else (self.rotation,)
