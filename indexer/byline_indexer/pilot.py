"""Score a sample with a small ensemble, for `byline plan-ensemble`.

Shapes: I checkpoints, D masks (or adapters) of each, Q queries, R training points of the sample.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from byline.errors import InvalidRecipe
from byline.features.featurizer import MemberFeaturizer, Side
from byline.features.sampling import fit_sample
from byline.gradients.masks.mask import DropoutMask
from byline.loading.task_file import load_task
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.training_points import EVALUATION, read_items
from byline.recipes import Recipe
from byline.task import Item, Task
from byline.types import Rows
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Observer, Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.outputs import block_features, block_weights
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.state import read_state
from byline_indexer.units.workspace import Workspace

CHECKPOINTS, MASKS = 3, 4
"""Most checkpoints of a pilot."""


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """Scores of the pilot's members."""

    scores_IDQR: NDArray[np.float64]
    within: str
    """Difference between members of one checkpoint: `masks`, `adapters`, or `nothing`."""
    held_out: bool
    """Whether queries come from the Task's evaluation set. Otherwise they are training points outside the sample."""


def run_pilot(
    config: BuildConfig, *, rows: int = 1000, queries: int = 32, observer: Observer | None = None
) -> Pilot:
    """Score a sample of the training points for some queries, with every member of a small ensemble.

    Args:
        config: A build file. Its members' masks and checkpoints are replaced by the pilot's.
        rows: Training points, drawn at random. Curvature is fitted on them.
        queries: Taken from the evaluation set, or from the other training points.
        observer: Receives progress and messages.

    Returns:
        The scores.

    Raises:
        InvalidRecipe: There is neither a second checkpoint nor a mask or adapter: nothing can differ.
    """
    task = load_task(config.task).task
    recipe, within = _pilot_recipe(config, task)
    # Without an evaluation set, a third of a small training set is left for queries.
    held_out = task.evaluation_set is not None and len(task.evaluation_set) > 0
    sample = fit_sample(
        len(task.train_set), min(rows, len(task.train_set) if held_out else 2 * len(task.train_set) // 3)
    )
    asked = _queries(task, sample, queries)
    part = replace(task, train_set=read_items(task.train_set, sample))
    with tempfile.TemporaryDirectory(prefix="byline-pilot-") as folder:
        plan = make_plan(config.model_copy(update={"recipe": recipe}), part, Path(folder))
        workspace = Workspace(plan.work)
        with InProcess(plan, part) as executor:
            run_units(plan, workspace, executor, observer or Silent())
        scores_MQR = _scores(plan, workspace, part, asked)
    checkpoints = len({member.checkpoint for member in plan.members})
    shape = (checkpoints, len(plan.members) // checkpoints, len(asked), len(sample))
    return Pilot(scores_IDQR=scores_MQR.reshape(shape), within=within, held_out=held_out)


def _pilot_recipe(config: BuildConfig, task: Task) -> tuple[Recipe, str]:
    if config.recipe.sides == "solved":
        raise InvalidRecipe(
            f"a pilot takes no recipe that solves each query, got '{config.recipe.name}': plan with 'ekfac'"
        )
    plan = config.recipe.members
    chosen = plan.checkpoints or tuple(range(len(task.checkpoints)))
    changes: dict[str, object] = {"checkpoints": chosen[:CHECKPOINTS], "forward_masks": 0}
    within = "nothing"
    if plan.adapters:
        changes |= {"adapters": min(plan.adapters, MASKS), "masks": 0}
        within = "adapters" if plan.adapters > 1 else within
    elif _has_masks(task, plan.mask_rate):
        changes |= {"masks": MASKS}
        within = "masks"
    if within == "nothing" and len(chosen) < 2:
        raise InvalidRecipe(
            "expected a second checkpoint, LoRA adapters, or dropout modules with a rate above zero (members.mask_rate sets "
            "one), since a pilot compares members: this Task and recipe make one member only"
        )
    members = plan.model_copy(update=changes)
    return config.recipe.model_copy(update={"members": members, "pca": None}), within


def _has_masks(task: Task, rate: float | None) -> bool:
    try:
        DropoutMask(task.model(), 0, rate)
    except InvalidRecipe:
        return False
    return True


def _queries(task: Task, sample: Rows, count: int) -> list[Item]:
    """Take items outside the sample, spread evenly."""
    if task.evaluation_set is not None and len(task.evaluation_set):
        return read_items(task.evaluation_set, _spread(len(task.evaluation_set), count), EVALUATION)
    others = np.setdiff1d(np.arange(len(task.train_set)), sample)
    return read_items(task.train_set, others[_spread(len(others), count)])


def _spread(size: int, count: int) -> list[int]:
    return [place * size // min(count, size) for place in range(min(count, size))]


def _scores(plan: BuildPlan, workspace: Workspace, task: Task, asked: Sequence[Item]) -> NDArray[np.float64]:
    """Score the sample for the queries, float64 [M, Q, R]."""
    weights_R = torch.cat(
        [block_weights(plan, workspace, block) for block in range(plan.block_count)]
    ).numpy()
    found = []
    previous: tuple[Member, MemberModel] | None = None
    for member in plan.members:
        sibling = previous[1] if previous and previous[0].same_model(member) else None
        model = MemberModel.load(task, plan.recipe, member, plan.numerics.compute, sibling)
        previous = (member, model)
        state = {n: t.to(plan.numerics.device) for n, t in read_state(plan, workspace, member.name).items()}
        featurizer = MemberFeaturizer(plan.recipe, model.blocks, state)
        query_QK = torch.cat(
            [
                featurizer.feature(
                    featurizer.project(model.gradients([item], plan.recipe.query_target), Side.QUERY),
                    Side.QUERY,
                )
                for item in asked
            ]
        ).cpu()
        blocks = range(plan.block_count)
        parts = [query_QK.double() @ block_features(workspace, member.name, b).double().T for b in blocks]
        found.append(torch.cat(parts, dim=1).numpy() * weights_R)
    return np.stack(found)
