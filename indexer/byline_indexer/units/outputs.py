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


def wide_features(workspace: Workspace, member: str, block: int) -> Tensor:
    """Read one member's features of a block's rows that the PCA is fitted on, before the rotation: float32 [F, K]."""
    return workspace.read(Unit(Stage.WIDEN, member, block), ("features",))["features"]


def member_width(plan: BuildPlan, workspace: Workspace, member: str) -> int:
    """Count the numbers of one member's feature, before a rotation."""
    if plan.recipe.pca is None:
        return block_features(workspace, member, 0).shape[1]
    return wide_features(workspace, member, plan.rotation_blocks[0]).shape[1]


def block_weights(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    """Read the row weights of one block, float64 [B]; ones if the recipe has none.

    The mean over the members, or over the models under the masks that serve the weight alone.
    """
    if plan.weighers:
        return _weighed(plan, workspace, block)
    return _mean_weight(plan, workspace, Stage.EMIT, block)


def wide_weights(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    """Read the row weights of a block's rows that the PCA is fitted on, float64 [F]; ones if the recipe has none."""
    if plan.weighers:
        return _weighed(plan, workspace, block)[torch.from_numpy(plan.rotation_rows(block))]
    return _mean_weight(plan, workspace, Stage.WIDEN, block)


def _weighed(plan: BuildPlan, workspace: Workspace, block: int) -> Tensor:
    units = (Unit(Stage.WEIGH, weigher.name, block) for weigher in plan.weighers)
    return torch.stack([workspace.read(unit)["weight"] for unit in units]).mean(dim=0)


def _mean_weight(plan: BuildPlan, workspace: Workspace, stage: Stage, block: int) -> Tensor:
    """Read the weights that each member's units made. Units make ones where the recipe has no weight."""
    if plan.recipe.row_weight == "none":
        made = plan.rotation_rows(block) if stage is Stage.WIDEN else plan.block_rows(block)
        return torch.ones(len(made), dtype=torch.float64)
    units = (Unit(stage, member.name, block) for member in plan.members)
    return torch.stack([workspace.read(unit, ("weight",))["weight"] for unit in units]).mean(dim=0)


def every_weight(plan: BuildPlan, workspace: Workspace) -> Tensor:
    """Read the row weights of the whole training set, float64 [R]."""
    return torch.cat([block_weights(plan, workspace, block) for block in range(plan.block_count)])
