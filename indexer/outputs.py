"""Reading what the units that make features left behind, block by block."""

import numpy as np
import torch
from torch import Tensor

from byline.features import Side
from byline.fit_sample import Rows
from indexer.plan import BuildPlan
from indexer.units import Stage, Unit
from indexer.workspace import Workspace


def block_features(workspace: Workspace, member: str, block: int, side: Side = Side.TRAIN) -> Tensor:
    """One member's features of one block of rows, of the side that is stored or as queries: float32 [B, K]."""
    name = "features" if side is Side.TRAIN else "query"
    return workspace.read(Unit(Stage.EMIT, member, block), (name,))[name]


def block_weights(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    """Row weights of one block: float64 [B]; ones where the recipe has none.

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


def rows_weights(plan: BuildPlan, workspace: Workspace, rows: Rows) -> Tensor:
    """Row weights of some rows, float64 [N], from the blocks that hold them."""
    if plan.recipe.row_weight == "none":
        return torch.ones(len(rows), dtype=torch.float64)
    weights_N = torch.empty(len(rows), dtype=torch.float64)
    size = plan.numerics.block_rows
    for block in np.unique(rows // size):
        own = torch.from_numpy(rows // size == block)
        within = torch.from_numpy(rows[rows // size == block] - int(block) * size)
        weights_N[own] = block_weights(plan, workspace, int(block))[within]
    return weights_N
