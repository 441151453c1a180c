"""Gather the contents of an index from finished units.

Features and examples stream; of each row only two float64 numbers are held.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from byline.api.example import Example
from byline.features.featurizer import Side, combine
from byline.index.contents import Groups, IndexContents
from byline.index.fingerprint import Fingerprint
from byline.index.layout import GroupRecord, MemberLayout, RotationLayout, StorageOptions, TaskRecord
from byline.members import member_shares
from byline.models.training_points import describe_row
from byline.task import Task
from byline.types import State
from byline_indexer.build.group_rows import (
    Blocks,
    Progress,
    group_examples,
    products,
    squared_lengths,
    summed_blocks,
)
from byline_indexer.units.data_digests import DataDigests
from byline_indexer.units.outputs import block_features, block_weights, member_width
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import parameters_met
from byline_indexer.units.state import read_state
from byline_indexer.units.unit import ENSEMBLE, Stage, Unit
from byline_indexer.units.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class BuildIdentity:
    """The Task, the fingerprint and the digests of one index."""

    task: Task
    record: TaskRecord
    fingerprint: Fingerprint
    digests: DataDigests
    """Every later reading of its data is compared with these."""


def index_contents(
    plan: BuildPlan,
    workspace: Workspace,
    identity: BuildIdentity,
    storage: StorageOptions,
    progress: Progress | None = None,
) -> IndexContents:
    """Gather everything that a finished build hands to the index writer.

    Args:
        plan: The build. All its units are finished.
        workspace: Their outputs.
        identity: The Task, and the digests that identify the index.
        storage: How the index is stored.
        progress: Receives the number of points whose metadata were read for groups.

    Returns:
        The contents. Features and examples are read when they are iterated.
    """
    if plan.groups is None:
        row_weights, self_influence = columns(plan, workspace)
        own = _OfRows(
            rows=plan.rows,
            features=partial(combined_blocks, plan, workspace),
            row_weights=row_weights,
            self_influence=self_influence,
            examples=partial(_examples, identity.task, plan.rows),
        )
    else:
        own = _of_groups(plan, workspace, identity.task, progress)
    return IndexContents(
        recipe=plan.recipe,
        fingerprint=identity.fingerprint,
        task=identity.record,
        blocks=plan.parameter_blocks,
        parameters=parameters_met(plan, workspace),
        members=member_layouts(plan, workspace),
        rotation=rotation_layout(plan, workspace),
        rows=own.rows,
        features=own.features,
        row_weights=own.row_weights,
        item_digests=identity.digests.rows_R if plan.groups is None else None,
        self_influence=own.self_influence,
        examples=own.examples,
        groups=own.groups,
        states={member.name: member_state(plan, workspace, member.name) for member in plan.members},
        build=plan.record(),
        storage=storage,
    )


@dataclass(frozen=True, kw_only=True)
class _OfRows:
    """Rows of the index: training points or groups."""

    rows: int
    features: Callable[[], Blocks]
    row_weights: NDArray[np.float64] | None
    self_influence: NDArray[np.float64]
    examples: Callable[[], Iterator[Example]]
    groups: Groups | None = None


def _of_groups(plan: BuildPlan, workspace: Workspace, task: Task, progress: Progress | None) -> _OfRows:
    """Make the rows of groups: sums of their points' features on either side."""
    assert plan.groups is not None
    assert plan.grouping is not None
    described_groups = group_examples(task, plan.grouping, plan.groups, progress)
    features = partial(group_blocks, plan, workspace)
    return _OfRows(
        rows=len(plan.groups),
        features=features,
        row_weights=None,
        self_influence=own_scores(plan, workspace),
        examples=lambda: iter(described_groups),
        groups=Groups(
            members=plan.groups,
            record=GroupRecord(
                options=plan.grouping,
                points=plan.rows,
                owners_apart=all(example.attributes["owners"] == 1 for example in described_groups),
            ),
        ),
    )


def group_blocks(plan: BuildPlan, workspace: Workspace) -> Blocks:
    """Yield features of groups, float32 [B, K]: sums of points' features, or the features of a fast build."""
    if plan.fast_groups is None:
        yield from summed_blocks(plan, workspace, combined_blocks(plan, workspace))
        return
    for block in range(plan.emit_count):
        features = [block_features(workspace, member.name, block) for member in plan.members]
        yield combine(features, member_shares(plan.members)).numpy()


def own_scores(plan: BuildPlan, workspace: Workspace) -> NDArray[np.float64]:
    """Compute each group's score with itself, float64 [J]: the squared length of its row."""
    if plan.recipe.sides == "solved":
        assert plan.groups is not None
        return np.zeros(len(plan.groups))  # queries are solved, and rows are not
    if not plan.recipe.recorded:
        return squared_lengths(group_blocks(plan, workspace))
    as_queries = combined_blocks(plan, workspace, Side.QUERY)
    return products(group_blocks(plan, workspace), summed_blocks(plan, workspace, as_queries, "query-sums"))


def columns(plan: BuildPlan, workspace: Workspace) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Read the numbers that every row has besides its feature.

    Returns:
        Row weights [R], or None where the recipe has none, and self-influences [R], weighted.
    """
    weights_R, own_R = np.zeros(plan.rows), np.zeros(plan.rows)
    for block in range(plan.block_count):
        rows = slice(plan.block_rows(block).start, plan.block_rows(block).stop)
        weights_R[rows] = block_weights(plan, workspace, block).numpy()
        for member, share in zip(plan.members, member_shares(plan.members), strict=True):
            column = workspace.read(Unit(Stage.EMIT, member.name, block), ("self_influence",))
            own_R[rows] += column["self_influence"].numpy() * share
    if plan.recipe.row_weight == "none":
        return None, own_R
    return weights_R, own_R * weights_R


def combined_blocks(
    plan: BuildPlan, workspace: Workspace, side: Side = Side.TRAIN
) -> Iterator[NDArray[np.float32]]:
    """Yield float32 [B, K]: the members' features side by side, or rotated, block after block."""
    for block in range(plan.block_count):
        if plan.recipe.pca is not None:
            yield workspace.read(Unit(Stage.ROTATE, ENSEMBLE, block))["features"].numpy()
        else:
            features = [block_features(workspace, m.name, block, side) for m in plan.members]
            yield combine(features, member_shares(plan.members)).numpy()


def rotation_layout(plan: BuildPlan, workspace: Workspace) -> RotationLayout | None:
    """Lay out the rotated features. None if the recipe has no PCA."""
    if plan.recipe.pca is None:
        return None
    first = workspace.read(Unit(Stage.ROTATE, ENSEMBLE, 0))["features"]
    return RotationLayout(width=first.shape[1])


def member_state(plan: BuildPlan, workspace: Workspace, member: str) -> State:
    """Read the state that queries need of a member: its fitted state, and its directions of a PCA."""
    state = read_state(plan, workspace, member)
    if plan.recipe.pca is not None:
        last = plan.pass_name(plan.recipe.pca.passes - 1)
        state |= workspace.read(Unit(Stage.DIRECT, member, 0, last))
    return state


def member_layouts(plan: BuildPlan, workspace: Workspace) -> tuple[MemberLayout, ...]:
    """Lay out each member's stretch of a feature."""
    return tuple(
        MemberLayout(
            name=member.name,
            checkpoint=member.checkpoint,
            mask_seed=member.mask_seed,
            adapter=member.adapter,
            weight=member.weight,
            width=member_width(plan, workspace, member.name),
        )
        for member in plan.members
    )


def _examples(task: Task, rows: int) -> Iterator[Example]:
    for row in range(rows):
        yield describe_row(task, row)
