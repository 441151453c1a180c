"""Load and check the first member's model, and lay out the build from what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from byline.curvature.base import Statistic
from byline.curvature.kronecker import KeptEigenvalueStatistic
from byline.errors import InvalidInput, InvalidRecipe, InvalidTask
from byline.features.featurizer import statistics
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.narrow import all_narrow
from byline.groups import ENOUGH_SUMS, LARGEST_MICRO_BATCH, GroupOptions
from byline.members import Member, run_time
from byline.models.adapters import require_same_blocks
from byline.models.member import MemberModel
from byline.models.network import Checks
from byline.models.optimizer_state import load_moments
from byline.models.training_points import read_items
from byline.progress import count_steps
from byline.projection.base import IdentityProjection
from byline.projection.eigenbasis import EigenbasisProjection
from byline.recipes import Recipe
from byline.task import Task
from byline.types import State
from byline_indexer.build.batch_memory import batch_length, item_cost
from byline_indexer.build.vector_memory import refuse_wide_vectors
from byline_indexer.config import BuildSettings
from byline_indexer.units.plan import BuildPlan, Numerics, StatisticPlan
from byline_indexer.units.trajectories import recorded_visits


@dataclass(kw_only=True)
class ProbedPlan:
    """A plan, and the checked model that it was made with."""

    plan: BuildPlan
    model: MemberModel | None
    """Model of the first member, until it is taken."""
    row_seconds: float
    """Seconds of one row's gradient, roughly."""
    item_bytes: float
    """Bytes of a batch for each unit of its padded cost (`BatchLimits.cost`)."""

    def take_model(self) -> MemberModel | None:
        """Hand the model to its one user: nothing here keeps its memory when the next member's model is loaded."""
        model, self.model = self.model, None
        return model


def make_plan(config: BuildSettings, task: Task, work: Path = Path()) -> BuildPlan:
    """Lay out a build. See `probed_plan`, which hands out the model too."""
    return probed_plan(config, task, work).plan


def probed_plan(
    config: BuildSettings, task: Task, work: Path = Path(), checks: Checks | None = None
) -> ProbedPlan:
    """Lay out a build.

    Args:
        config: The settings of the build.
        task: Its Task.
        work: The work directory, once it is known.
        checks: Results of earlier checks of the model. None checks it.

    Returns:
        The plan, and the first member's model: it is loaded to learn which statistics its layers need.

    Raises:
        InvalidRecipe: The recipe names a checkpoint that the Task does not have, or masks where there is no dropout.
        InvalidTask: The weights do not fit the model, a target or the outputs are missing, or a recorded run is missing
            or another.
        InvalidInput: The build file asks for a GPU that is not there.
        UnsupportedModel: Gradients cannot be taken example by example.
    """
    _refuse_missing_gpu(config.build.device)
    _require_targets(config.recipe, task)
    members = config.recipe.members.of(task.checkpoints)
    numerics = Numerics.of(config.build)
    if config.recipe.members.adapters:
        used = {m.checkpoint: task.checkpoints[m.checkpoint] for m in members}
        require_same_blocks(used, config.recipe.members.adapters)
    with count_steps(None, 2) as advance:
        model = MemberModel.load(task, config.recipe, members[0], numerics.compute, checks=checks)
        advance(1)
        _refuse_whole_gradients(config.recipe, model.blocks)
        refuse_wide_vectors(model, config.recipe, config.build.memory_bytes)
        fits = _statistic_plans(config, task, model.blocks, members)
        _try_on_a_point(model, config.recipe, fits, task)
        cost = item_cost(task, model, config.recipe.train_signal)
    length = batch_length(model, cost, config.build.memory_bytes)
    numerics = replace(numerics, batch_length=length, batch_square=cost.square)
    if config.recipe.members.forward_masks:
        masked = replace(members[0], mask_seed=config.recipe.members.mask_seed)
        MemberModel.load(task, config.recipe, masked, numerics.compute, model)
    plan = BuildPlan(
        evaluation_rows=_evaluation_rows(fits, task),
        task=config.task,
        recipe=config.recipe,
        parameter_blocks=model.blocks,
        parameters=model.report,
        members=members,
        rows=len(task.train_set),
        numerics=numerics,
        statistics=fits,
        work=work,
        grouping=config.groups,
        recordings=recorded_visits(task, config.recipe, members, model.blocks),
        keeps_gradients=_keeps_gradients(fits, model.blocks, len(task.train_set)),
    )
    seconds = cost.seconds * cost.mean_length
    return ProbedPlan(plan=plan, model=model, row_seconds=seconds, item_bytes=cost.size)


def _statistic_plans(
    config: BuildSettings, task: Task, blocks: Sequence[Block], members: Sequence[Member]
) -> tuple[StatisticPlan, ...]:
    """List the statistics that a build fits, and what each is fitted on."""
    recipe, rows = config.recipe, len(task.train_set)
    moments = _moments_of_all(recipe, task, blocks)
    needed = [
        s for s in statistics(recipe, blocks, moments, _run_time(recipe, task, members)) if s.needed(rows)
    ]
    fits = tuple(_statistic_plan(each, config.groups, rows) for each in needed)
    if recipe.pca is None:
        return fits
    return tuple(_unkept(fit, recipe, blocks, rows * len(members)) for fit in fits)


LARGEST_ROW = 1 << 20
"""Numbers of a gradient that is stored as it is, at most."""


def _refuse_whole_gradients(recipe: Recipe, blocks: Sequence[Block]) -> None:
    """Refuse to store whole gradients of many parameters: a block of rows would not fit in memory.

    Raises:
        InvalidRecipe: There are more than `LARGEST_ROW`.
    """
    numbers = sum(block.rows * block.columns for block in blocks)
    if isinstance(recipe.projection, IdentityProjection) and numbers > LARGEST_ROW:
        raise InvalidRecipe(
            f"expected at most {LARGEST_ROW:,} attributed numbers for projection 'identity', got {numbers:,}: set another "
            f"projection, such as {{ kind = 'sjlt' }}, or attribute fewer layers (Task.layers)"
        )


def _require_targets(chosen: Recipe, task: Task) -> None:
    known = ["loss", *sorted(task.targets)]
    for target in (chosen.train_signal, chosen.query_target):
        if target not in known:
            raise InvalidTask(
                f"recipe '{chosen.name}' needs the target '{target}': expected one of the targets {', '.join(known)} that "
                f"this Task declares; add it to Task.targets, or take a recipe of the loss, such as 'ekfac' (byline.tasks "
                f"declares 'margin' and 'logit' for classifiers with class positions)"
            )


def _try_on_a_point(model: MemberModel, recipe: Recipe, fits: Sequence[StatisticPlan], task: Task) -> None:
    """Take one point through the recipe's labels and products: a Task that lacks something fails before any work."""
    items, row_1 = read_items(task.train_set, [0]), torch.zeros(1, dtype=torch.int64)
    for labels in sorted({fit.labels for fit in fits} - {"given"}):
        next(model.label_gradients(items, row_1, labels))
    if recipe.product_matrix is not None:
        width = sum(block.rows * block.columns for block in model.blocks)
        model.products(items, torch.zeros(1, width), recipe.product_matrix)


def _moments_of_all(recipe: Recipe, task: Task, blocks: Sequence[Block]) -> State | None:
    """Read the first member's moments if every member has moments: only then is none estimated."""
    if not recipe.scale.uses_moments:
        return None
    members = recipe.members.of(task.checkpoints)
    having = [task.checkpoints[member.checkpoint].optimizer_state is not None for member in members]
    return load_moments(task, members[0], blocks) if all(having) else None


def _run_time(recipe: Recipe, task: Task, members: Sequence[Member]) -> float | None:
    """Compute the first member's run time. None where the recipe has no use for it. Every member has one."""
    times = [run_time(member, task.checkpoints) for member in members] if recipe.uses_run_time else [None]
    return times[0]


def _evaluation_rows(statistics: Sequence[StatisticPlan], task: Task) -> int:
    """Count the items of the evaluation set that are read."""
    if not any(statistic.source == "evaluation" for statistic in statistics):
        return 0
    if not task.evaluation_set:
        raise InvalidTask(
            "expected Task.evaluation_set with items for curvature.evaluation above 0, which mixes their gradients into "
            "the curvature, got none: declare it, or set curvature.evaluation = 0"
        )
    return len(task.evaluation_set)


MICRO_BATCHES = 4096
"""Summed gradients at most that one statistic is fitted on where groups are differentiated at once."""


def _statistic_plan(statistic: Statistic, groups: GroupOptions | None, rows: int) -> StatisticPlan:
    if groups is None or groups.build != "fast":
        return StatisticPlan(
            name=statistic.name, source=statistic.source, sample=statistic.sample, labels=statistic.labels
        )
    micro_batch = groups.micro_batch or chosen_micro_batch(statistic, rows)
    most = MICRO_BATCHES * micro_batch
    return StatisticPlan(
        name=statistic.name,
        source=statistic.source,
        sample=most if statistic.sample is None else min(statistic.sample, most),
        labels=statistic.labels,
        fresh=True,
        micro_batch=micro_batch,
    )


GRADIENT_BYTES = 1 << 33
"""Bytes of all rows' whole gradients, at most, that are kept for later passes."""


def _keeps_gradients(fits: Sequence[StatisticPlan], blocks: Sequence[Block], rows: int) -> bool:
    """Tell whether the gradients of all rows are kept: a first pass goes over all, and they are narrow and few."""
    numbers = sum(block.rows * block.columns for block in blocks)
    first = next((fit for fit in fits if fit.source == "positions" and fit.labels == "given"), None)
    whole = first is not None and not first.fresh and (first.sample is None or first.sample >= rows)
    return whole and all_narrow(blocks) and 4 * numbers * rows <= GRADIENT_BYTES


KEPT_BYTES = 1 << 32
"""Bytes of all members' projected gradients that are kept until the features of a PCA are made of them."""
EIGENVALUE_ROWS = 16_384
"""Rows that eigenvalues are measured on, at least, where projections of all rows take more."""


def _unkept(fit: StatisticPlan, chosen: Recipe, blocks: Sequence[Block], numbers: int) -> StatisticPlan:
    """Take gradients anew for the eigenvalues of wide coordinates, on a sample, where all rows' would fill the disk.

    The sample is four times that of the eigenvectors, which it contains, or more.
    """
    width = sum(block.rows * block.columns for block in blocks)
    if isinstance(chosen.projection, EigenbasisProjection):
        width = min(width, chosen.projection.size)
    if fit.name != KeptEigenvalueStatistic.name or numbers * width * 4 <= KEPT_BYTES:
        return fit
    fitted_on = getattr(chosen.curvature, "sample", None) or 0
    return replace(fit, fresh=True, sample=max(EIGENVALUE_ROWS, 4 * fitted_on))


def chosen_micro_batch(statistic: Statistic, rows: int) -> int:
    """Choose the points of a micro-batch, if the build file does not.

    Second moments of single numbers and of either side of a gradient hardly depend on it. A matrix of projected gradients
    does: it is fitted on as many vectors as there are micro-batches, and these must not be few beside its width.
    """
    if statistic.source != "projected":
        return LARGEST_MICRO_BATCH
    measured = rows if statistic.sample is None else min(rows, statistic.sample)
    return max(1, min(LARGEST_MICRO_BATCH, measured // ENOUGH_SUMS))


def few_sums_warning(plan: BuildPlan) -> str | None:
    """Warn if the build file's micro-batches leave too few sums to fit a matrix on."""
    if plan.grouping is None or plan.grouping.micro_batch in {None, 1} or not plan.fast:
        return None
    counts = [
        sum(-(-len(rows) // s.micro_batch) for rows in plan.fit_blocks(s.name))
        for s in plan.statistics
        if s.source == "projected" and s.name != KeptEigenvalueStatistic.name
    ]
    if not counts or min(counts) >= ENOUGH_SUMS:
        return None
    return (
        f"groups.micro_batch = {plan.grouping.micro_batch} leaves {min(counts)} sums of gradients to fit the curvature on, "
        f"and below {ENOUGH_SUMS:,} scores differ from those of groups.build = 'sums': leave it out, and it is chosen by "
        f"the number of points"
    )


def _refuse_missing_gpu(device: str) -> None:
    kind, _, number = device.partition(":")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        raise InvalidInput(
            f"expected build.device to be there, got '{device}' where torch finds {count} GPUs: set device = 'cpu', "
            f"or install torch for this machine's GPU"
        )
