"""Performs units: the only place where a build's files meet the mathematics.

A worker holds one Task and, at a time, one member's model and fitted state. What it computes depends on the
plan and the unit alone, so any worker may perform any unit, and perform it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from byline.curvature.base import SCRATCH, BatchProducts, Statistic
from byline.curvature.labels import Labels
from byline.errors import BuildFailed, InvalidTask
from byline.features import MemberFeaturizer, Side, statistics
from byline.fit_sample import Rows, cut_batches
from byline.gradients.factors import BatchGradients
from byline.gradients.grouping import micro_batched
from byline.loading import load_task
from byline.member_model import MemberModel
from byline.members import Member
from byline.optimizer_state import given_moments
from byline.projection.base import State
from byline.row_weights import one_minus_p, rescaled
from byline.solving import ItemProducts
from byline.task import Item, Task
from indexer.group_features import GroupPass
from indexer.outputs import every_weight
from indexer.plan import BuildPlan
from indexer.rotation import Rotation
from indexer.trajectories import Trajectories
from indexer.units import Stage, Unit
from indexer.workspace import Receipt, Workspace


class Worker:
    """One Task, loaded once, and the plan of the build that it works for.

    Args:
        plan: What is built.
        task: The Task, where the process has it already; loaded from its source otherwise.
    """

    def __init__(self, plan: BuildPlan, task: Task | None = None) -> None:
        self.plan = plan
        self.workspace = Workspace(plan.work)
        self._task = task
        self._model: tuple[Member, MemberModel] | None = None
        self._featurizer: tuple[str, MemberFeaturizer] | None = None
        self._fitted_state: tuple[str, tuple[str, ...], State] | None = None
        self._weights_R: Tensor | None = None
        self._at: Rows | None = None
        self._rotation = Rotation(plan, self.workspace)
        self._trajectories = Trajectories(plan, self.workspace, self._loaded_task)

    def perform(self, unit: Unit) -> Receipt:
        """Run one unit and keep its output.

        Args:
            unit: One of the plan's; what it reads is finished.

        Returns:
            The receipt of its output.

        Raises:
            BuildFailed: Anything went wrong; names the unit, the rows and the cause.
        """
        self._at = None
        actions = {
            Stage.MEASURE: self._measure,
            Stage.REDUCE: self._reduce,
            Stage.PROJECT: self._project,
            Stage.TRACE: self._trajectories.trace,
            Stage.CARRY: self._trajectories.carry,
            Stage.EMIT: self._emit,
            Stage.WEIGH: self._weigh,
            Stage.SKETCH: self._rotation.sketch,
            Stage.GATHER: self._rotation.gather,
            Stage.MIX: self._rotation.mix,
            Stage.DIRECT: self._rotation.direct,
            Stage.ROTATE: self._rotation.rotate,
        }
        try:
            return self.workspace.write(unit, actions[unit.stage](unit))
        except Exception as error:
            rows = "" if self._at is None else f", rows {self._at[0]} to {self._at[-1]}"
            raise BuildFailed(
                f"{unit}{rows}: {type(error).__name__}: {error} (finished units are kept: "
                f"correct the cause and run the same command again)"
            ) from error

    def _measure(self, unit: Unit) -> State:
        """Add up a statistic over one fit block, batch after batch, in float64."""
        statistic = self._statistic(unit)
        state = self._state(unit.member, before=unit.statistic)
        sums: State = {}
        for batch in self._measured(unit, statistic):
            add_state(sums, statistic.measure(batch, state))
        return sums

    def _measured(
        self, unit: Unit, statistic: Statistic
    ) -> Iterator[BatchGradients | Tensor | BatchProducts]:
        """What a statistic measures of one fit block: kept projections, gradients at its labels, or curvature products.

        Yields:
            A batch of gradients, or their phi_NK, or the batch's products.
        """
        rows = self.plan.fit_blocks(unit.statistic)[unit.block]
        if statistic.source == "products":
            yield from self._products(unit.member, rows)
            return
        if statistic.source == "evaluation":
            yield from self._evaluated(unit, rows)
            return
        if self.plan.statistic(unit.statistic).reads_projections:
            yield from self._projected(unit.member, rows)
            return
        if statistic.source == "projected":
            yield from gathered(self._fit_projections(unit, rows, statistic))
            return
        yield from self._fit_gradients(unit, rows, statistic)

    def _evaluated(self, unit: Unit, rows: Rows) -> Iterator[Tensor]:
        """Differentiate items of the evaluation set as the queries that they are.

        Yields:
            phi_NK of each batch.
        """
        model, items = self._load(unit.member), self._loaded_task().evaluation_set
        featurizer = self._fitted(unit.member, unit.statistic)
        whole = self.plan.recipe.members.queries == "whole"
        differentiated = model.whole_gradients if whole else model.gradients
        if items is None or len(items) != self.plan.evaluation_rows:
            raise InvalidTask(
                f"expected an evaluation set of {self.plan.evaluation_rows} items in every process, got another: seed it"
            )
        for batch in cut_batches(rows, self.plan.numerics.batch_rows):
            gradients = differentiated([items[int(row)] for row in batch], self.plan.recipe.query_target)
            yield featurizer.project(gradients, Side.QUERY)

    def _fit_projections(self, unit: Unit, rows: Rows, statistic: Statistic) -> Iterator[Tensor]:
        featurizer = self._fitted(unit.member, unit.statistic)
        for gradients in self._fit_gradients(unit, rows, statistic):
            yield featurizer.project(gradients, Side.TRAIN)

    def _fit_gradients(self, unit: Unit, rows: Rows, statistic: Statistic) -> Iterator[BatchGradients]:
        micro_batch = self.plan.statistic(unit.statistic).micro_batch
        for gradients in self._label_gradients(unit.member, rows, statistic.labels):
            assert self._at is not None
            yield gradients if micro_batch == 1 else micro_batched(gradients, self._at, micro_batch)

    def _reduce(self, unit: Unit) -> State:
        """Add the fit blocks' sums in the order of the blocks."""
        statistic = self._statistic(unit)
        sums: State = {}
        for part in self.plan.measures(unit.member, unit.statistic):
            add_state(sums, self._to_device(self.workspace.read(part)))
        count = sum(map(len, self.plan.fit_blocks(unit.statistic)))
        return statistic.finish(sums, count, self._state(unit.member, before=unit.statistic))

    def _project(self, unit: Unit) -> State:
        featurizer = self._fitted(unit.member, self.plan.first_of_projections)
        batches = self._gradients(unit.member, self._block(unit))
        return join_states([featurizer.project_training(grads) for grads in batches])

    def _emit(self, unit: Unit) -> State:
        featurizer = self._fitted(unit.member)
        if self.plan.fast_groups is not None:
            return self._emit_groups(featurizer, unit)
        if self.plan.recipe.recorded:
            return self._emit_recorded(featurizer, unit)
        if self.plan.keeps_projections:
            raw = self.workspace.read(Unit(Stage.PROJECT, unit.member, unit.block))
            made = emitted(featurizer, self._to_device(raw))
        else:
            batches = self._gradients(unit.member, self._block(unit))
            made = join_states([emitted(featurizer, featurizer.project_training(g)) for g in batches])
        if self.plan.recipe.row_weight == "leverage":
            made["weight"] = rescaled(self._leverage(featurizer, unit.member, self._block(unit)))
        return made

    def _emit_recorded(self, featurizer: MemberFeaturizer, unit: Unit) -> State:
        """Features from the recorded run; gradients at the final weights are what the rows' own scores are taken with."""
        rows = self._block(unit)
        train_NK = self._trajectories.features(unit.member, rows).to(self.plan.numerics.device)
        own = iter(torch.split(train_NK, self.plan.numerics.batch_rows))
        made = []
        for g in self._gradients(unit.member, rows):
            projected = featurizer.project_training(g)
            made.append(emitted(featurizer, projected, next(own)))
            if self.plan.groups is not None:  # a group's own score needs the sum of both sides
                made[-1]["query"] = featurizer.feature(projected["phi"], Side.QUERY).float()
        return join_states(made)

    def _emit_groups(self, featurizer: MemberFeaturizer, unit: Unit) -> State:
        """Features of groups whose weighted sums are differentiated."""
        groups = self.plan.fast_groups
        assert groups is not None
        made = GroupPass(
            model=self._load(unit.member),
            featurizer=featurizer,
            read=self._items,
            weights=self._weights,
            batch_rows=self.plan.numerics.batch_rows,
            signal=self.plan.recipe.train_signal,
        )
        return {"features": made.features([groups[group] for group in self.plan.emit_groups(unit.block)])}

    def _items(self, batch: Rows) -> list[Item]:
        self._at = batch
        return [self._loaded_task().train_set[int(row)] for row in batch]

    def _weights(self, rows: Rows) -> Tensor:
        """Row weights, float64 [N]; those of all rows are read once."""
        if self._weights_R is None:
            self._weights_R = every_weight(self.plan, self.workspace)
        return self._weights_R[torch.from_numpy(rows)]

    def _leverage(self, featurizer: MemberFeaturizer, member: str, rows: Rows) -> Tensor:
        """h_N = (1/n) sum over the labels of g^T H^-1 g, at the labels that the curvature is fitted with."""
        parts = []
        for batch in cut_batches(rows, self.plan.numerics.batch_rows):
            each = self._label_gradients(member, batch, self.plan.recipe.labels)
            own = [featurizer.quadratic(featurizer.project(g, Side.TRAIN)) for g in each]
            parts.append(torch.stack(own).sum(dim=0))
        return torch.cat(parts) / self.plan.rows

    def _weigh(self, unit: Unit) -> State:
        """Mean of the row weights under all forward masks of one model."""
        plan, train_set = self.plan, self._loaded_task().train_set
        member = plan.member(unit.member)
        model = self._load(unit.member)
        masked = [
            MemberModel.load(
                self._loaded_task(), plan.recipe, replace(member, mask_seed=s), plan.numerics.compute, model
            )
            for s in plan.recipe.members.forward_seeds
        ] or [model]
        parts = []
        for batch in cut_batches(self._block(unit), plan.numerics.batch_rows):
            self._at = batch
            items = [train_set[int(row)] for row in batch]
            values = [each.values(items, plan.recipe.train_signal).double() for each in masked]
            parts.append({"weight": torch.stack([one_minus_p(v) for v in values]).mean(dim=0)})
        return join_states(parts)

    def _block(self, unit: Unit) -> Rows:
        return np.asarray(self.plan.block_rows(unit.block), dtype=np.int64)

    def _gradients(self, member: str, rows: Rows) -> Iterator[BatchGradients]:
        """Differentiate the train signal.

        Yields:
            The gradients of each batch.
        """
        model, train_set = self._load(member), self._loaded_task().train_set
        for batch in cut_batches(rows, self.plan.numerics.batch_rows):
            self._at = batch
            yield model.gradients([train_set[int(row)] for row in batch], self.plan.recipe.train_signal)

    def _label_gradients(self, member: str, rows: Rows, labels: Labels) -> Iterator[BatchGradients]:
        """Differentiate the train signal at the given labels, or the loss at others.

        Yields:
            The gradients of each batch, once for each label.
        """
        if labels == "given":
            yield from self._gradients(member, rows)
            return
        model, train_set = self._load(member), self._loaded_task().train_set
        for batch in cut_batches(rows, self.plan.numerics.batch_rows):
            self._at = batch
            items = [train_set[int(row)] for row in batch]
            yield from model.label_gradients(items, torch.from_numpy(batch), labels)

    def _products(self, member: str, rows: Rows) -> Iterator[BatchProducts]:
        """Prepare curvature products.

        Yields:
            Those of each batch.
        """
        model, train_set = self._load(member), self._loaded_task().train_set
        for batch in cut_batches(rows, self.plan.numerics.batch_rows):
            self._at = batch
            yield ItemProducts(model, [train_set[int(row)] for row in batch])

    def _projected(self, member: str, rows: Rows) -> Iterator[Tensor]:
        """Read kept projections.

        Yields:
            phi_NK of these rows, a tensor for each block of the grid that has any of them.
        """
        owner = rows // self.plan.numerics.block_rows
        for block in np.unique(owner):
            self._at = rows[owner == block]
            phi_NK = self.workspace.read(Unit(Stage.PROJECT, member, int(block)))["phi"]
            wanted = torch.from_numpy(self._at - int(block) * self.plan.numerics.block_rows)
            yield phi_NK[wanted].to(self.plan.numerics.device)

    def _loaded_task(self) -> Task:
        if self._task is None:
            task = load_task(self.plan.task).task
            if len(task.train_set) != self.plan.rows:
                raise InvalidTask(
                    f"expected {self.plan.task} to return the same Task in every process, with {self.plan.rows} "
                    f"training points, got one of {len(task.train_set)}: seed what is random in it"
                )
            self._task = task
        return self._task

    def _load(self, member: str) -> MemberModel:
        wanted = self.plan.member(member)
        if self._model is None or self._model[0] != wanted:
            same_weights = self._model is not None and self._model[0].same_model(wanted)
            sibling = self._model[1] if self._model is not None and same_weights else None
            self._model = None  # the old model's memory is free before the new one's is taken
            loaded = MemberModel.load(
                self._loaded_task(), self.plan.recipe, wanted, self.plan.numerics.compute, sibling
            )
            self._model = (wanted, loaded)
        return self._model[1]

    def _statistic(self, unit: Unit) -> Statistic:
        recipe, blocks = self.plan.recipe, self._load(unit.member).blocks
        member = self.plan.member(unit.member)
        uses = recipe.scale.uses_moments
        moments = given_moments(self._loaded_task(), member, blocks) if uses else None
        every = statistics(recipe, blocks, moments)
        return next(statistic for statistic in every if statistic.name == unit.statistic)

    def _state(self, member: str, before: str | None = None) -> State:
        """What the statistics that come before this one left behind; all of them for None."""
        names = fitted_before(self.plan, before)
        known = self._fitted_state
        if known is None or known[0] != member or names[: len(known[1])] != known[1]:
            known = (member, (), {})
        # Only what came since is read: a fit in many steps reads each step's part once.
        read = read_states(self.workspace, member, names[len(known[1]) :])
        state = known[2] | self._to_device(read)
        self._fitted_state = (member, names, state if before else without_scratch(state))
        return self._fitted_state[2]

    def _to_device(self, state: State) -> State:
        return {name: tensor.to(self.plan.numerics.device) for name, tensor in state.items()}

    def _fitted(self, member: str, before: str | None = None) -> MemberFeaturizer:
        """A featurizer with the statistics that come before one, or with all."""
        key = f"{member}/{before}"
        if self._featurizer is None or self._featurizer[0] != key:
            self._featurizer = None
            state = self._state(member, before=before)
            made = MemberFeaturizer(self.plan.recipe, self._load(member).blocks, state)
            self._featurizer = (key, made)
        return self._featurizer[1]


def read_state(plan: BuildPlan, workspace: Workspace, member: str, before: str | None = None) -> State:
    """Merge what a member's statistics left behind.

    Args:
        plan: The build.
        workspace: Where the reduced statistics are.
        member: The member's name.
        before: Stop at this statistic; None takes all.

    Returns:
        The fitted state, on the CPU.
    """
    state = read_states(workspace, member, fitted_before(plan, before))
    return without_scratch(state) if before is None else state


def fitted_before(plan: BuildPlan, before: str | None) -> tuple[str, ...]:
    """Names of the statistics that come before one; of all for None."""
    names = tuple(statistic.name for statistic in plan.statistics)
    return names if before is None else names[: names.index(before)]


def read_states(workspace: Workspace, member: str, statistics: Sequence[str]) -> State:
    """Merge what some of a member's statistics left behind, on the CPU."""
    state: State = {}
    for name in statistics:
        state |= workspace.read(Unit(Stage.REDUCE, member, 0, name))
    return state


def without_scratch(state: State) -> State:
    """Leave out what only later statistics read."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(SCRATCH)}


def add_state(sums: State, part: State) -> None:
    """Add a batch's sums to the block's, in place."""
    for name, tensor in part.items():
        sums[name] = sums[name].add_(tensor) if name in sums else tensor.clone()


GATHERED = 256
"""Vectors that are measured together."""


def gathered(parts: Iterator[Tensor]) -> Iterator[Tensor]:
    """Put projections together: second moments of many vectors cost little more than those of a few.

    Args:
        parts: phi_NK of batches.

    Yields:
        The same rows in the same order, in fewer tensors.
    """
    kept: list[Tensor] = []
    for part in parts:
        kept.append(part)
        if sum(map(len, kept)) >= GATHERED:
            yield torch.cat(kept)
            kept = []
    if kept:
        yield torch.cat(kept)


def join_states(parts: list[State]) -> State:
    """Concatenate the batches of a block."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def emitted(featurizer: MemberFeaturizer, projected: State, train_NK: Tensor | None = None) -> State:
    """What a block of rows leaves behind.

    Args:
        featurizer: Of the member.
        projected: What `MemberFeaturizer.project_training` made of them.
        train_NK: The training side's features, where they are not made of that.

    Returns:
        `features` float32 [N, K], `self_influence` float64 [N] (the product of the row's own training and query
        features; zeros where queries are solved, since rows are not) and the row weight's part of this member,
        `weight` float64 [N].
    """
    phi_NK = projected["phi"]
    train_NK = featurizer.feature(phi_NK, Side.TRAIN) if train_NK is None else train_NK
    query_NK = featurizer.feature(projected.get("query_phi", phi_NK), Side.QUERY)
    own_N = (train_NK.double() * query_NK.double()).sum(dim=1)
    if featurizer.solved:
        own_N = torch.zeros_like(own_N)
    return {
        "features": train_NK.float(),
        "self_influence": own_N,
        "weight": featurizer.row_weights(phi_NK, projected["objective"]),
    }
