"""Reading what the units that make features left behind, block by block."""

import torch
from torch import Tensor

from indexer.plan import BuildPlan
from indexer.units import Stage, Unit
from indexer.workspace import Workspace


def block_features(workspace: Workspace, member: str, block: int) -> Tensor:
    """One member's features of one block of rows: float32 [B, K]."""
    return workspace.read(Unit(Stage.EMIT, member, block), ("features",))["features"]


def block_weights(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    """Row weights of one block: float64 [B], the mean over the members; ones where the recipe has none.

    TRAK's weight of a row is 1 - p; with the margin m = log p/(1-p) as the signal, whose objective is -m, that is
    sigmoid(objective).
    """
    weights_B = torch.zeros(len(plan.block_rows(block)), dtype=torch.float64)
    if plan.recipe.row_weight == "none":
        return weights_B + 1
    for member in plan.members:
        column = workspace.read(Unit(Stage.EMIT, member.name, block), ("objective",))
        weights_B += torch.sigmoid(column["objective"]) / len(plan.members)
    return weights_B
