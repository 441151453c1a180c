"""A plain loop over single examples, with one forward and backward pass each: the baseline of the builds.

It is measured on some rows and extrapolated to all. The features are those of the builds; projections are kept, so that
a Fisher matrix is one product in the end.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.speed.group_indexes import timed
from benchmarks.tasks.groups import Problem
from byline.curvature.base import Statistic
from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.gradients.outer_products.factors import BatchGradients
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.survey import read_row
from byline_indexer.units.emit import emit_batch
from byline_indexer.units.state import add_state

State = dict[str, Tensor]


class Loop:
    """One recipe, one example at a time.

    Args:
        problem: Data and network.
        task: Its Task.
        name: The recipe.
        sample: Rows that are really gone through in each pass.
    """

    def __init__(self, problem: Problem, task: Task, name: str, sample: int) -> None:
        self._task, self._recipe, self._rows = task, recipe(name), problem.protocol.train
        self._sample = range(min(sample, self._rows))
        self._model = MemberModel.load(task, self._recipe, self._recipe.members.of(task.checkpoints)[0])

    def seconds(self) -> tuple[float, float]:
        """Measure CPU seconds over all rows: of the features alone, and with the fit of the curvature."""
        state: State = {}
        fit = 0.0
        for statistic in statistics(self._recipe, self._model.blocks):
            if statistic.needed(self._rows):
                by_row = statistic.source in {"gradients", "positions"}
                fit += self._measured(statistic, state) if by_row else self._product(statistic, state)
        features = self._features(state)
        return features, features + fit

    def _measured(self, statistic: Statistic, state: State) -> float:
        sums: State = {}

        def one(row: int) -> None:
            add_state(sums, statistic.measure(self._gradients(row), state))

        spent = self._every(one) * min(statistic.sample or self._rows, self._rows) / self._rows
        ended, found = timed(lambda: statistic.finish(sums, len(self._sample) + 1, state))
        state |= found
        return spent + ended

    def _product(self, statistic: Statistic, state: State) -> float:
        featurizer = MemberFeaturizer(self._recipe, self._model.blocks, state)
        phi_NK = torch.cat([featurizer.project(self._gradients(row), Side.TRAIN) for row in self._sample])
        every_NK = phi_NK.repeat(-(-self._rows // len(phi_NK)), 1)[: self._rows]
        spent, sums = timed(lambda: statistic.measure(every_NK, state))
        ended, found = timed(lambda: statistic.finish(sums, self._rows, state))
        state |= found
        return spent + ended

    def _features(self, state: State) -> float:
        featurizer = MemberFeaturizer(self._recipe, self._model.blocks, state)

        def one(row: int) -> None:
            read_row(self._task, row)
            emit_batch(featurizer, featurizer.project_training(self._gradients(row)))

        return self._every(one)

    def _gradients(self, row: int) -> BatchGradients:
        return self._model.gradients([self._task.train_set[row]], self._recipe.train_signal)

    def _every(self, one: Callable[[int], None]) -> float:
        """Extrapolate the seconds over all rows, after one to warm up."""
        one(0)
        spent, _ = timed(lambda: [one(row) for row in self._sample])
        return spent / len(self._sample) * self._rows
