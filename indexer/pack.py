"""From finished units to what the index writer takes.

Features and examples stream; of each row only two float64 numbers are held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from byline.examples import Example
from byline.features import combine
from byline.members import shares
from byline.projection.base import State
from byline.store.contents import IndexContents
from byline.store.fingerprint import Fingerprint
from byline.store.layout import MemberLayout, RotationLayout, StorageOptions, TaskRecord
from byline.task import Task
from indexer.outputs import block_features, block_weights
from indexer.plan import BuildPlan
from indexer.survey import described
from indexer.units import ENSEMBLE, Stage, Unit
from indexer.worker import read_state
from indexer.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What an index is of."""

    task: Task
    record: TaskRecord
    fingerprint: Fingerprint


def index_contents(
    plan: BuildPlan, workspace: Workspace, origin: Origin, storage: StorageOptions
) -> IndexContents:
    """Gather everything that a finished build hands to the index writer.

    Args:
        plan: The build; all its units are finished.
        workspace: Their outputs.
        origin: The Task and what identifies it.
        storage: How the index is stored.

    Returns:
        The contents; features and examples are read when they are iterated.
    """
    row_weights, self_influence = columns(plan, workspace)
    return IndexContents(
        recipe=plan.recipe,
        fingerprint=origin.fingerprint,
        task=origin.record,
        blocks=plan.parameter_blocks,
        members=member_layouts(plan, workspace),
        rotation=rotation_layout(plan, workspace),
        rows=plan.rows,
        features=partial(combined_blocks, plan, workspace),
        row_weights=row_weights,
        self_influence=self_influence,
        examples=partial(_examples, origin.task, plan.rows),
        states={member.name: member_state(plan, workspace, member.name) for member in plan.members},
        build=plan.record(),
        storage=storage,
    )


def columns(plan: BuildPlan, workspace: Workspace) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Read the numbers that every row has besides its feature.

    Returns:
        Row weights [R], or None where the recipe has none, and self-influences [R], weighted.
    """
    weights_R, own_R = np.zeros(plan.rows), np.zeros(plan.rows)
    for block in range(plan.block_count):
        rows = slice(plan.block_rows(block).start, plan.block_rows(block).stop)
        weights_R[rows] = block_weights(plan, workspace, block).numpy()
        for member, share in zip(plan.members, shares(plan.members), strict=True):
            column = workspace.read(Unit(Stage.EMIT, member.name, block), ("self_influence",))
            own_R[rows] += column["self_influence"].numpy() * share
    if plan.recipe.row_weight == "none":
        return None, own_R
    return weights_R, own_R * weights_R


def combined_blocks(plan: BuildPlan, workspace: Workspace) -> Iterator[NDArray[np.float32]]:
    """Yield float32 [B, K]: the members' features side by side, or rotated, block after block."""
    for block in range(plan.block_count):
        if plan.recipe.pca is not None:
            yield workspace.read(Unit(Stage.ROTATE, ENSEMBLE, block))["features"].numpy()
        else:
            features = [block_features(workspace, m.name, block) for m in plan.members]
            yield combine(features, shares(plan.members)).numpy()


def rotation_layout(plan: BuildPlan, workspace: Workspace) -> RotationLayout | None:
    """Where the rotated features are; None where the recipe has no PCA."""
    if plan.recipe.pca is None:
        return None
    first = workspace.read(Unit(Stage.ROTATE, ENSEMBLE, 0))["features"]
    return RotationLayout(width=first.shape[1])


def member_state(plan: BuildPlan, workspace: Workspace, member: str) -> State:
    """What a query needs of a member: its fitted state, and its directions where the recipe has a PCA."""
    state = read_state(plan, workspace, member)
    if plan.recipe.pca is not None:
        last = plan.pass_name(plan.recipe.pca.passes - 1)
        state |= workspace.read(Unit(Stage.DIRECT, member, 0, last))
    return state


def member_layouts(plan: BuildPlan, workspace: Workspace) -> tuple[MemberLayout, ...]:
    """Where each member's stretch of a feature is, and what made it."""
    return tuple(
        MemberLayout(
            name=member.name,
            checkpoint=member.checkpoint,
            mask_seed=member.mask_seed,
            adapter=member.adapter,
            weight=member.weight,
            width=block_features(workspace, member.name, 0).shape[1],
        )
        for member in plan.members
    )


def _examples(task: Task, rows: int) -> Iterator[Example]:
    for row in range(rows):
        yield described(task, row)
