"""Run a build's real units on its first rows, in a temporary work directory, to measure their cost.

The trial is a build of its own: the same recipe and statistics, the first member, two batches. So it meets what the build
will meet, and no stage is re-enacted. Two blocks of a stage run where there are two: the first one allocates and compiles.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from byline.groups import GroupPartition
from byline.models.training_points import EVALUATION, read_items
from byline.task import Task
from byline_indexer.build.batch_memory import CHECKED
from byline_indexer.build.factorizations import Factorizations
from byline_indexer.build.probe import ProbedPlan
from byline_indexer.units.batches import item_length, packs
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
    """Seconds of each unit, without writing."""
    writing: dict[Unit, float] = field(default_factory=dict)
    """Seconds of writing each unit's output."""
    lengths: float = 1.0
    """Mean length of the build's items in units of the trial's."""
    batch: int = 0
    """Bytes of the build's largest batch."""
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
            chosen = trial_rows(probed, task, groups)
            plan = trial_plan(probed.plan, groups, Path(folder), len(chosen.rows))
            batch, member = int(probed.item_bytes / CHECKED * chosen.batch), plan.members[0].name
            trial = cls(plan=plan, lengths=chosen.lengths, batch=batch)
            own = some_rows(task, plan, chosen.rows)
            model = probed.take_model()
            if model is not None:
                model.settle()
            with InProcess(plan, own, model) as executor, Factorizations() as spared:
                for stage in (*plan.weigh_stages(), *plan.stages(member)):
                    trial._run(stage, executor, spared)
            trial.width = block_features(Workspace(plan.work), member, 0).shape[1]
        return trial

    def _run(self, stage: list[Unit], executor: InProcess, spared: Factorizations) -> None:
        def now() -> tuple[float, float]:
            return time.perf_counter() + spared.charged, executor.writing

        start = now()

        def note(unit: Unit, receipt: Receipt) -> None:
            nonlocal start
            end = now()
            self.writing[unit], self.receipts[unit] = end[1] - start[1], receipt
            self.seconds[unit] = end[0] - start[0] - self.writing[unit]
            start = end

        executor.run(stage, note)

    def stage_seconds(self, stage: list[Unit], plan: BuildPlan) -> float:
        """Extrapolate to all units of a stage of the build.

        Args:
            stage: Its units.
            plan: Of the build.
        """
        rows = sum(map(plan.weight, stage))
        if stage[0].stage is Stage.REDUCE:
            alike = self._alike(stage[0])
            spent = sum(self.seconds[each] for each in alike) / len(alike)
            return len(stage) * (spent + self.write_time(stage[0]))
        if stage[0].stage is Stage.MEASURE:
            return rows * self.lengths * self.rate(stage[0]) + len(stage) * self.write_time(stage[0])
        units = rows / max(
            1, self.plan.numerics.block_rows
        )  # what rows leave is written in proportion to them
        a_unit = self.write_time(stage[0]) / max(1, plan.numerics.block_rows // self.plan.numerics.block_rows)
        return rows * self.lengths * self.rate(stage[0]) + units * a_unit

    def write_time(self, unit: Unit) -> float:
        """Compute the mean seconds of writing the output of such a unit."""
        alike = self._alike(unit)
        return sum(self.writing[each] for each in alike) / len(alike) if alike else 0.0

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


HEAVY_PART = 20
"""A trial takes this part of the rows of a heavy build."""
HEAVY_SECONDS = 20.0
"""Seconds of all rows' gradients that make a build heavy."""
LENGTHS_FROM = 128
"""Rows whose lengths are compared with those of the trial."""


@dataclass(frozen=True)
class TrialRows:
    """Rows of a trial, spread over the training set, and the mean length of all items in units of theirs."""

    rows: list[int]
    lengths: float
    batch: float
    """Padded cost of the build's largest batch, as far as its items were looked at."""


def trial_rows(probed: ProbedPlan, task: Task, groups: int) -> TrialRows:
    """Choose the rows of a trial: two batches, fewer of a heavy build, or a whole group where that is more.

    Args:
        probed: The whole build.
        task: Has the rows.
        groups: How many groups it will make.
    """
    plan = probed.plan
    known = [item_length(item) for item in read_items(task.train_set, _spread(plan.rows, LENGTHS_FROM))]
    limits, longest = plan.numerics.limits, max(known)
    together = limits.rows if limits.length is None else max(1, min(limits.rows, limits.length // longest))
    count = 2 * together
    if together < limits.rows or probed.row_seconds * plan.rows > HEAVY_SECONDS:
        count = min(count, max(2, plan.rows // HEAVY_PART))
    rows = _spread(plan.rows, min(plan.rows, max(count, -(-plan.rows // groups))))
    own = [item_length(item) for item in read_items(task.train_set, rows)]
    batch = max(len(pack) * limits.cost(max(known[place] for place in pack)) for pack in packs(known, limits))
    return TrialRows(rows, (sum(known) / len(known)) / (sum(own) / len(own)), batch)


def _spread(rows: int, count: int) -> list[int]:
    count = min(rows, count)
    return [place * rows // count for place in range(count)]


def trial_plan(plan: BuildPlan, groups: int, work: Path, rows: int | None = None) -> BuildPlan:
    """Make the plan of a build of a few rows.

    Args:
        plan: The whole build.
        groups: How many groups it will make.
        work: The work directory of the trial.
        rows: Its rows. None takes two batches, or a whole group where that is more.

    Returns:
        Two blocks. The first member, and its first recorded span.
    """
    size = -(-plan.rows // groups)
    if rows is None:
        rows = min(plan.rows, max(2 * plan.numerics.batch_rows, size))
    block = min(plan.numerics.batch_rows, max(1, rows // 2))
    return replace(
        plan,
        work=work,
        recipe=plan.recipe.model_copy(update={"pca": None}),
        members=plan.members[:1],
        rows=rows,
        evaluation_rows=min(plan.evaluation_rows, 2 * block),
        numerics=replace(plan.numerics, block_rows=block, batch_rows=block),
        statistics=tuple(map(_shortened, plan.statistics)),
        groups=GroupPartition.of(np.arange(rows) // size) if plan.grouping else None,
        recordings={name: spans[:1] for name, spans in plan.recordings.items()},
    )


def _shortened(statistic: StatisticPlan) -> StatisticPlan:
    if statistic.source != "products" or statistic.sample == 0:
        return statistic
    return replace(statistic, sample=min(statistic.sample or PRODUCT_ROWS, PRODUCT_ROWS))


def some_rows(task: Task, plan: BuildPlan, rows: Sequence[int]) -> Task:
    """Cut a Task's data sets to the rows of a trial."""
    evaluation = task.evaluation_set
    if evaluation is not None and plan.evaluation_rows:
        evaluation = read_items(evaluation, range(plan.evaluation_rows), EVALUATION)
    return replace(task, train_set=read_items(task.train_set, rows), evaluation_set=evaluation)
