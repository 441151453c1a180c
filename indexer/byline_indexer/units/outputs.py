"""Read the outputs of EMIT and WEIGH units, block by block."""

import torch
from torch import Tensor

from byline.features.featurizer import Side
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


def block_features(workspace: Workspace, member: str, block: int, side: Side = Side.TRAIN) -> Tensor:
    """Read one member's features of one block, of the stored side or as queries: float32 [B, K]."""
    name = "features" if side is Side.TRAIN else "query"
    return workspace.read(Unit(Stage.EMIT, member, block), (name,))[name]


def block_weights(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    """Read the row weights of one block, float64 [B]; ones if the recipe has none.

    The mean over the members, or over the models under the masks that serve the weight alone.
    """
    weights_B = torch.zeros(len(plan.block_rows(block)), dtype=torch.float64)
    if plan.recipe.row_weight == "none":
        return weights_B + 1
    for weigher in plan.weighers:
        weighed = workspace.read(Unit(Stage.WEIGH, weigher.name, block))
        weights_B += weighed["weight"] / len(plan.weighers)
    if plan.weighers:
        return weights_B
    for member in plan.members:
        column = workspace.read(Unit(Stage.EMIT, member.name, block), ("weight",))
        weights_B += column["weight"] / len(plan.members)
    return weights_B


def every_weight(plan: BuildPlan, workspace: Workspace) -> Tensor:
    """Read the row weights of the whole training set, float64 [R]."""
    return torch.cat([block_weights(plan, workspace, block) for block in range(plan.block_count)])
