"""Learn how a model sees a batch and compare nothing: for a trial of a few rows, whose results are thrown away."""

import time

from torch import nn

from byline.errors import UnsupportedModel
from byline.gradients.batch_axes import learn_separation
from byline.gradients.capture.faults import InseparableError, named_fault
from byline.gradients.check_record import CheckRecord
from byline.gradients.collector import GradientCollector
from byline.models.device import Compute
from byline.models.network import never_reached, probed_items, samples
from byline.recipes import Recipe
from byline.task import Task

SIGNAL, TARGET = 4.0, 1.5
"""Seconds that a check takes for the train signal and for each target, in units of those that learning takes: 19 forward and
17 backward passes of an example with the reversed batch's, and 11 and 9, beside 5 and 6."""


class Unchecked:
    """Takes the place of earlier checks (`byline.models.network.Checks`).

    Args:
        task: Declares the objectives.
        recipe: Names the signal.
        compute: Device and precision.
    """

    def __init__(self, task: Task, recipe: Recipe, compute: Compute) -> None:
        self._task, self._recipe, self._compute = task, recipe, compute
        self.spared = 0.0
        """Seconds that a check would have taken more, roughly."""

    def find(self, model: nn.Module, member: str, compute: str) -> CheckRecord | None:
        """Learn the layouts of a batch. None where a check has to find another way, or to say what is wrong."""
        del member, compute
        signal = self._task.objective(self._recipe.train_signal)
        sample = samples(self._task, self._compute, *probed_items(self._task, model, self._compute))
        start = time.perf_counter()
        try:
            collector = GradientCollector(model, self._task.layers)
            with named_fault(model, watched=True):
                collector.separation = learn_separation(collector, signal, sample)
            reached = collector.reached_parameters(signal, sample(1))
        except (InseparableError, UnsupportedModel):
            return None
        collector.unused = tuple(name for name in collector.parameters if name not in reached)
        collector.unused = never_reached(self._task, collector, self._compute)
        targets = {"loss", *self._task.targets} - {self._recipe.train_signal}
        self.spared += (time.perf_counter() - start) * (SIGNAL + TARGET * len(targets))
        return CheckRecord.of(collector)

    def keep(self, model: nn.Module, member: str, compute: str, record: CheckRecord) -> None:
        """Forget it."""
