"""Run a build's real units on its first rows, in a temporary work directory, to measure their cost.

The trial is a build of its own: the same recipe and statistics, the first member, two batches. So it meets what the build
will meet, and no stage is re-enacted. Two blocks of a stage run where there are two: the first one allocates and compiles.
"""

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from byline.groups import GroupPartition
from byline.models.training_points import EVALUATION, read_items
from byline.task import Task
from byline_indexer.build.probe import ProbedPlan
from byline_indexer.units.executor import InProcess
from byline_indexer.units.outputs import block_features
from byline_indexer.units.plan import BuildPlan, StatisticPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Receipt, Workspace

PRODUCT_ROWS = 4
"""Rows that curvature products are tried on: a fit may be of a hundred steps."""


@dataclass(kw_only=True)
class Trial:
    """Seconds and receipts of the units of a trial."""

    plan: BuildPlan
    """Plan of the trial."""
    width: int = 0
    """Numbers of one member's feature."""
    seconds: dict[Unit, float] = field(default_factory=dict)
    """Seconds of each unit."""
    receipts: dict[Unit, Receipt] = field(default_factory=dict)
    """Receipt of each unit."""

    @classmethod
    def run(cls, probed: ProbedPlan, task: Task, groups: int) -> Self:
        """Run the units of a small build, and delete what they leave.

        Args:
            probed: The build, and its first member's model, which is taken.
            task: The Task.
            groups: Groups that the build will make. Its rows where it makes none.

        Returns:
            What was measured.
        """
        with tempfile.TemporaryDirectory(prefix="byline-estimate-") as folder:
            plan = trial_plan(probed.plan, groups, Path(folder))
            trial, member = cls(plan=plan), plan.members[0].name
            with InProcess(plan, first_rows(task, plan), probed.take_model()) as executor:
                for stage in (*plan.weigh_stages(), *plan.stages(member)):
                    start = time.perf_counter()

                    def note(unit: Unit, receipt: Receipt) -> None:
                        nonlocal start
                        trial.seconds[unit], trial.receipts[unit] = time.perf_counter() - start, receipt
                        start = time.perf_counter()

                    executor.run(stage, note)
            trial.width = block_features(Workspace(plan.work), member, 0).shape[1]
        return trial

    def rate(self, unit: Unit) -> float:
        """Compute the seconds of a unit for each row that it passes over, from the last block that was tried."""
        alike = self._alike(unit)
        if not alike:
            stand_in = _STAND_INS.get(unit.stage)
            return 0.0 if stand_in is None else self.rate(replace(unit, stage=stand_in))
        last = max(each.block for each in alike)
        tried = [each for each in alike if each.block == last]
        return sum(self.seconds[each] for each in tried) / sum(map(self.plan.weight, tried))

    def bytes_of(self, unit: Unit) -> float:
        """Compute the mean bytes of the outputs of such units."""
        sizes = [self.receipts[each].size for each in self._alike(unit)]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def _alike(self, unit: Unit) -> list[Unit]:
        return [each for each in self.seconds if (each.stage, each.family) == (unit.stage, unit.family)]


_STAND_INS = {Stage.CARRY: Stage.TRACE, Stage.WIDEN: Stage.EMIT}
"""Stages that a trial has none of, which has one span and no PCA, and stages that cost as much."""


def trial_plan(plan: BuildPlan, groups: int, work: Path) -> BuildPlan:
    """Make the plan of a build of a few rows.

    Args:
        plan: The whole build.
        groups: How many groups it will make.
        work: The work directory of the trial.

    Returns:
        Two batches, or a whole group where that is more. The first member, and its first recorded span.
    """
    batch, size = plan.numerics.batch_rows, -(-plan.rows // groups)
    rows = min(plan.rows, max(2 * batch, size))
    return replace(
        plan,
        work=work,
        recipe=plan.recipe.model_copy(update={"pca": None}),
        members=plan.members[:1],
        rows=rows,
        evaluation_rows=min(plan.evaluation_rows, 2 * batch),
        numerics=replace(plan.numerics, block_rows=batch),
        statistics=tuple(map(_shortened, plan.statistics)),
        groups=GroupPartition.of(np.arange(rows) // size) if plan.grouping else None,
        recordings={name: spans[:1] for name, spans in plan.recordings.items()},
    )


def _shortened(statistic: StatisticPlan) -> StatisticPlan:
    if statistic.source != "products" or statistic.sample == 0:
        return statistic
    return replace(statistic, sample=min(statistic.sample or PRODUCT_ROWS, PRODUCT_ROWS))


def first_rows(task: Task, plan: BuildPlan) -> Task:
    """Cut a Task's data sets to the rows of a trial."""
    evaluation = task.evaluation_set
    if evaluation is not None and plan.evaluation_rows:
        evaluation = read_items(evaluation, range(plan.evaluation_rows), EVALUATION)
    return replace(task, train_set=read_items(task.train_set, range(plan.rows)), evaluation_set=evaluation)
