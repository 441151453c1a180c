"""Load the Task, and one member's model and fitted state at a time, for the units of a build."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from byline.curvature.base import Statistic
from byline.digests import require_digest
from byline.errors import InvalidTask
from byline.features.featurizer import MemberFeaturizer, statistics
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.narrow import narrow_matrices, with_matrices
from byline.gradients.pass_log import NOTHING_MET, PassReport
from byline.loading.task_file import load_task
from byline.members import Member, run_time
from byline.models.checkpoints import pin_checkpoints
from byline.models.member import MemberModel
from byline.models.optimizer_state import load_moments
from byline.models.pass_memory import return_memory
from byline.models.training_points import NamedItems, read_items
from byline.progress import count_steps, several_steps
from byline.task import Item, Task
from byline.types import Rows, State
from byline_indexer.units.batches import item_batches
from byline_indexer.units.data_digests import DataDigests
from byline_indexer.units.kept_gradients import KeptGradients
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.state import fitted_before, join_states, read_states, without_scratch
from byline_indexer.units.unit import Unit
from byline_indexer.units.workspace import Workspace


class WorkerContext:
    """The Task and the model of a worker, loaded when a unit asks for them.

    Args:
        plan: What is built.
        workspace: Where fitted states are.
        task: The Task, where the process has it already. Otherwise it is loaded from its source.
        model: The first member's model, where the process has loaded and checked it.
    """

    def __init__(
        self, plan: BuildPlan, workspace: Workspace, task: Task | None, model: MemberModel | None = None
    ) -> None:
        self._plan, self._workspace, self._task = plan, workspace, task
        # The model that was checked stays; it reads through the Task whose items are compared with the first reading.
        self._model: tuple[Member, MemberModel] | None = None
        if model is not None:
            self._model = (plan.members[0], self._loaded(plan.members[0], model))
        self._featurizer: tuple[str, MemberFeaturizer] | None = None
        self._fitted_state: tuple[str, tuple[str, ...], State] | None = None
        self._kept = KeptGradients(plan.work, plan.numerics.device)
        self.at: Rows | None = None
        """The rows that were looked at last: where an error is."""

    def task(self) -> Task:
        """Load the Task once.

        Raises:
            InvalidTask: Its source makes another one in every process.
            StaleIndex: Its source is not what the build began with.
        """
        if self._task is None:
            assert self._plan.task is not None, "a Task in memory is built in its own process"
            loaded = load_task(self._plan.task)
            require_digest(f"the source of the Task {self._plan.task}", loaded.digest, self._plan.task_digest)
            task = pin_checkpoints(loaded.task, self._plan.checkpoints)
            if len(task.train_set) != self._plan.rows:
                raise InvalidTask(
                    f"expected {self._plan.task} to return the same Task in every process, with {self._plan.rows} "
                    f"training points, got one of {len(task.train_set)}: seed its random numbers"
                )
            digests = DataDigests.kept(self._plan.work)
            self._task = task if digests is None else digests.checked(task)
        return self._task

    def model(self, member: str) -> MemberModel:
        """Load one member's model. Members of the same weights share it."""
        wanted = self._plan.member(member)
        if self._model is None or self._model[0] != wanted:
            same_weights = self._model is not None and self._model[0].same_model(wanted)
            sibling = self._model[1] if self._model is not None and same_weights else None
            self._model = None  # the old model's memory is free before the new one's is taken
            self._model = (wanted, self._loaded(wanted, sibling))
        return self._model[1]

    def _loaded(self, member: Member, sibling: MemberModel | None) -> MemberModel:
        return MemberModel.load(self.task(), self._plan.recipe, member, self._plan.numerics.compute, sibling)

    def read_passes(self) -> PassReport:
        """Report what gradient passes met since the last reading."""
        return NOTHING_MET if self._model is None else self._model[1].read_passes()

    def statistic(self, unit: Unit) -> Statistic:
        """Find the statistic that a unit measures or reduces."""
        recipe, blocks = self._plan.recipe, self.model(unit.member).blocks
        member = self._plan.member(unit.member)
        uses = recipe.scale.uses_moments
        moments = load_moments(self.task(), member, blocks) if uses else None
        time = run_time(member, self.task().checkpoints) if recipe.uses_run_time else None
        every = statistics(recipe, blocks, moments, time)
        return next(statistic for statistic in every if statistic.name == unit.statistic)

    def state(self, member: str, before: str | None = None) -> State:
        """Read the fitted state of the statistics before this one; of all statistics for None."""
        names = fitted_before(self._plan, before)
        known = self._fitted_state
        if known is None or known[0] != member or names[: len(known[1])] != known[1]:
            known = (member, (), {})
        # Only what came since is read: a fit in many steps reads each step's part once.
        read = read_states(self._workspace, member, names[len(known[1]) :])
        state = known[2] | self.to_device(read)
        self._fitted_state = (member, names, state if before else without_scratch(state))
        return self._fitted_state[2]

    def featurizer(self, member: str, before: str | None = None) -> MemberFeaturizer:
        """Make a featurizer of the statistics before this one; of all statistics for None."""
        key = f"{member}/{before}"
        if self._featurizer is None or self._featurizer[0] != key:
            self._featurizer = None
            state = self.state(member, before=before)
            made = MemberFeaturizer(self._plan.recipe, self.model(member).blocks, state)
            self._featurizer = (key, made)
        return self._featurizer[1]

    def to_device(self, state: State) -> State:
        """Move every tensor to where the build computes."""
        return {name: tensor.to(self._plan.numerics.device) for name, tensor in state.items()}

    def block(self, unit: Unit) -> Rows:
        """List the rows of a unit's block of the grid."""
        return np.asarray(self._plan.block_rows(unit.block), dtype=np.int64)

    def items(self, batch: Rows) -> NamedItems:
        """Read training points."""
        self.at = batch
        return read_items(self.task().train_set, batch)

    def batches(self, rows: Rows) -> Iterator[tuple[Rows, list[Item]]]:
        """Read training points, and put those of like length into batches.

        Yields:
            Rows of a batch, which `at` holds meanwhile, and their items.
        """
        with count_steps(None, len(rows)) as advance:
            for batch, items in item_batches(rows, self._plan.numerics.limits, self.items):
                self.at = batch
                with several_steps(len(batch)):
                    yield batch, items
                advance(len(batch))

    def in_order(self, parts: Iterable[State]) -> State:
        """Concatenate what was made of each batch, in ascending order of the rows.

        Args:
            parts: Makes each from the batch that `at` holds.
        """
        made: list[State] = []
        met: list[Rows] = []
        for part in parts:
            assert self.at is not None
            made.append(part)
            met.append(self.at)
        joined = join_states(made)
        order = np.argsort(np.concatenate(met), kind="stable")
        if np.array_equal(order, np.arange(len(order))):
            return joined
        return {name: tensor[torch.from_numpy(order).to(tensor.device)] for name, tensor in joined.items()}

    def gradients(self, member: str, rows: Rows, *, positions: bool = False) -> Iterator[BatchGradients]:
        """Differentiate the train signal, or read what a pass before this one kept.

        Args:
            member: The member.
            rows: Row numbers.
            positions: Whether all positions' own outer products are wanted. Such a pass keeps the sums for others.

        Yields:
            The gradients of each batch. They are gone when the next ones are asked for.
        """
        for batch, items in self.batches(rows):
            with count_steps(None, 2) as advance:  # the pass, and what is made of it
                kept = None if positions else self._found(member, batch)
                made = kept or self._differentiated(member, batch, items, positions=positions)
                advance(1)
                yield from _one_at_a_time([made])

    def _found(self, member: str, batch: Rows) -> BatchGradients | None:
        if not self._plan.keeps_gradients:
            return None
        return self._kept.find(member, batch, [block.name for block in self._plan.parameter_blocks])

    def _differentiated(
        self, member: str, batch: Rows, items: list[Item], *, positions: bool
    ) -> BatchGradients:
        model = self.model(member)
        gradients = model.gradients(items, self._plan.recipe.train_signal)
        if not positions:
            return with_matrices(gradients, narrow_matrices(gradients))
        if self._plan.keeps_gradients:
            matrices = narrow_matrices(gradients)
            if len(matrices) == len(model.blocks):
                self._kept.keep(member, batch, gradients.objective_N, matrices)
        return gradients

    def label_gradients(self, member: str, rows: Rows, statistic: Statistic) -> Iterator[BatchGradients]:
        """Differentiate the train signal at the given labels, or the loss at others, for a statistic.

        Args:
            member: The member.
            rows: Row numbers.
            statistic: Says which labels, and whether it measures single positions.

        Yields:
            The gradients of each batch, once for each label. They are gone when the next ones are asked for.
        """
        positions = statistic.source == "positions"
        if statistic.labels == "given":
            yield from self.gradients(member, rows, positions=positions)
            return
        model = self.model(member)
        for batch, items in self.batches(rows):
            found = model.label_gradients(items, torch.from_numpy(batch), statistic.labels)
            yield from _one_at_a_time(
                each if positions else with_matrices(each, narrow_matrices(each)) for each in found
            )


def _one_at_a_time(made: Iterable[BatchGradients]) -> Iterator[BatchGradients]:
    """Free each batch's gradients before the next are made: a caller's loop still names them then.

    Yields:
        The gradients.
    """
    for gradients in made:
        yield gradients
        gradients.free()
        return_memory()
