"""From finished units to what the index writer takes.

Features and examples stream; of each row only two float64 numbers are held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from byline.examples import Example
from byline.features import combine
from byline.store.contents import IndexContents
from byline.store.fingerprint import Fingerprint
from byline.store.layout import MemberLayout, StorageOptions, TaskRecord
from byline.task import Task
from indexer.plan import BuildPlan
from indexer.survey import described
from indexer.units import Stage, Unit
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
        rows=plan.rows,
        features=partial(combined_blocks, plan, workspace),
        row_weights=row_weights,
        self_influence=self_influence,
        examples=partial(_examples, origin.task, plan.rows),
        states={member.name: read_state(plan, workspace, member.name) for member in plan.members},
        build=plan.record(),
        storage=storage,
    )


def columns(plan: BuildPlan, workspace: Workspace) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Read the numbers that every row has besides its feature.

    TRAK's weight of a row is the mean over the members of 1 - p; with the margin m = log p/(1-p) as the signal,
    whose objective is -m, that is sigmoid(objective).

    Returns:
        Row weights [R], or None where the recipe has none, and self-influences [R], weighted.
    """
    weights_R, own_R = np.zeros(plan.rows), np.zeros(plan.rows)
    share = 1 / len(plan.members)
    for block in range(plan.block_count):
        rows = slice(plan.block_rows(block).start, plan.block_rows(block).stop)
        for member in plan.members:
            column = workspace.read(Unit(Stage.EMIT, member.name, block), ("objective", "self_influence"))
            weights_R[rows] += torch.sigmoid(column["objective"]).numpy() * share
            own_R[rows] += column["self_influence"].numpy() * share
    if plan.recipe.row_weight == "none":
        return None, own_R
    return weights_R, own_R * weights_R


def combined_blocks(plan: BuildPlan, workspace: Workspace) -> Iterator[NDArray[np.float32]]:
    """Yield float32 [B, K]: the members' features side by side, block after block."""
    for block in range(plan.block_count):
        units = [Unit(Stage.EMIT, member.name, block) for member in plan.members]
        yield combine([workspace.read(unit, ("features",))["features"] for unit in units]).numpy()


def member_layouts(plan: BuildPlan, workspace: Workspace) -> tuple[MemberLayout, ...]:
    """Where each member's stretch of a feature is, and what made it."""
    return tuple(
        MemberLayout(
            name=member.name,
            checkpoint=member.checkpoint,
            mask_seed=member.mask_seed,
            width=workspace.read(Unit(Stage.EMIT, member.name, 0), ("features",))["features"].shape[1],
        )
        for member in plan.members
    )


def _examples(task: Task, rows: int) -> Iterator[Example]:
    for row in range(rows):
        yield described(task, row)
