"""Perform the units of a fit: sums over blocks of its sample, their end, and the projections kept for it."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from byline.curvature.base import BatchProducts, Statistic
from byline.errors import InvalidTask
from byline.features.featurizer import Side
from byline.features.solving import ItemProducts
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.grouping import sum_micro_batches
from byline.models.training_points import EVALUATION, read_items
from byline.types import Rows, State
from byline_indexer.units.batches import item_batches
from byline_indexer.units.context import WorkerContext
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.state import add_state, gather_projections
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


class FitStage:
    """Performs MEASURE, REDUCE and PROJECT units.

    Args:
        plan: What is built.
        workspace: The units' outputs.
        context: The Task, and one member's model and state.
    """

    def __init__(self, plan: BuildPlan, workspace: Workspace, context: WorkerContext) -> None:
        self._plan, self._workspace, self._context = plan, workspace, context

    def measure(self, unit: Unit) -> State:
        """Add up a statistic over one fit block, batch after batch, in float64."""
        statistic = self._context.statistic(unit)
        state = self._before(unit, statistic)
        sums: State = {}
        for batch in self._measured(unit, statistic):
            add_state(sums, statistic.measure(batch, state))
        return sums

    def _measured(
        self, unit: Unit, statistic: Statistic
    ) -> Iterator[BatchGradients | Tensor | BatchProducts]:
        """Make the batches that a statistic measures: kept projections, gradients at its labels, or products.

        Yields:
            A batch of gradients, or their phi_NK, or the batch's products.
        """
        rows = self._plan.fit_blocks(unit.statistic)[unit.block]
        if statistic.source == "products":
            yield from self._products(unit.member, rows)
            return
        if statistic.source == "evaluation":
            yield from self._evaluated(unit, rows)
            return
        if self._plan.statistic(unit.statistic).reads_projections:
            yield from self._projected(unit.member, rows)
            return
        if statistic.source == "projected":
            yield from gather_projections(self._fit_projections(unit, rows, statistic))
            return
        yield from self._fit_gradients(unit, rows, statistic)

    def _evaluated(self, unit: Unit, rows: Rows) -> Iterator[Tensor]:
        """Differentiate items of the evaluation set as the queries that they are.

        Yields:
            phi_NK of each batch.
        """
        model, items = self._context.model(unit.member), self._context.task().evaluation_set
        featurizer = self._context.featurizer(unit.member, unit.statistic)
        whole = self._plan.recipe.members.queries == "whole"
        differentiated = model.whole_gradients if whole else model.gradients
        if items is None or len(items) != self._plan.evaluation_rows:
            raise InvalidTask(
                f"expected an evaluation set of {self._plan.evaluation_rows} items in every process, got another: seed it"
            )
        read = partial(read_items, items, name=EVALUATION)
        for _, batch in item_batches(rows, self._plan.numerics.limits, read):
            yield featurizer.project(differentiated(batch, self._plan.recipe.query_target), Side.QUERY)

    def _fit_projections(self, unit: Unit, rows: Rows, statistic: Statistic) -> Iterator[Tensor]:
        featurizer = self._context.featurizer(unit.member, unit.statistic)
        for gradients in self._fit_gradients(unit, rows, statistic):
            yield featurizer.project(gradients, Side.TRAIN)

    def _fit_gradients(self, unit: Unit, rows: Rows, statistic: Statistic) -> Iterator[BatchGradients]:
        micro_batch = self._plan.statistic(unit.statistic).micro_batch
        for gradients in self._context.label_gradients(unit.member, rows, statistic):
            assert self._context.at is not None
            yield (
                gradients if micro_batch == 1 else sum_micro_batches(gradients, self._context.at, micro_batch)
            )

    def _products(self, member: str, rows: Rows) -> Iterator[BatchProducts]:
        """Prepare curvature products.

        Yields:
            Those of each batch.
        """
        model = self._context.model(member)
        for _, items in self._context.batches(rows):
            yield ItemProducts(model, items)

    def _projected(self, member: str, rows: Rows) -> Iterator[Tensor]:
        """Read kept projections.

        Yields:
            phi_NK of these rows, a tensor for each block of the grid that has any of them.
        """
        owner = rows // self._plan.numerics.block_rows
        for block in np.unique(owner):
            self._context.at = rows[owner == block]
            phi_NK = self._workspace.read(Unit(Stage.PROJECT, member, int(block)))["phi"]
            wanted = torch.from_numpy(self._context.at - int(block) * self._plan.numerics.block_rows)
            yield phi_NK[wanted].to(self._plan.numerics.device)

    def reduce(self, unit: Unit) -> State:
        """Add the fit blocks' sums in the order of the blocks."""
        statistic = self._context.statistic(unit)
        sums: State = {}
        for part in self._plan.measures(unit.member, unit.statistic):
            for name in self._workspace.names(
                part
            ):  # one tensor at a time: a file that is read is in memory as a whole
                add_state(sums, self._context.to_device(self._workspace.read(part, (name,))))
        count = sum(map(len, self._plan.fit_blocks(unit.statistic)))
        return statistic.finish(sums, count, self._before(unit, statistic))

    def _before(self, unit: Unit, statistic: Statistic) -> State:
        """Read what the statistics before this one fitted, where it is read."""
        return self._context.state(unit.member, before=unit.statistic) if statistic.reads_state else {}

    def project(self, unit: Unit) -> State:
        """Project the gradients of one block of rows, for statistics of them and for its features."""
        featurizer = self._context.featurizer(unit.member, self._plan.first_of_projections)
        batches = self._context.gradients(unit.member, self._context.block(unit))
        return self._context.in_order(featurizer.project_training(grads) for grads in batches)
