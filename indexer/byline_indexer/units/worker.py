"""Perform units: the only place where a build's files meet the mathematics.

What a worker computes depends on the plan and the unit alone, so any worker may perform any unit, and perform it again.
"""

from byline.errors import BuildFailed
from byline.models.member import MemberModel
from byline.task import Task
from byline_indexer.units.context import WorkerContext
from byline_indexer.units.emit import EmitStage
from byline_indexer.units.fit import FitStage
from byline_indexer.units.pca import Rotation
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.trajectories import Trajectories
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Receipt, Workspace


class Worker:
    """One Task, loaded once, and the plan of the build that it works for.

    Args:
        plan: What is built.
        task: The Task, where the process has it already. Otherwise it is loaded from its source.
        model: The first member's model, where the process has loaded and checked it.
    """

    def __init__(self, plan: BuildPlan, task: Task | None = None, model: MemberModel | None = None) -> None:
        self.plan = plan
        self.workspace = Workspace(plan.work)
        self._context = WorkerContext(plan, self.workspace, task, model)
        fit = FitStage(plan, self.workspace, self._context)
        trajectories = Trajectories(plan, self.workspace, self._context.task)
        rotation = Rotation(plan, self.workspace)
        emit = EmitStage(plan, self.workspace, self._context, trajectories, rotation)
        self._actions = {
            Stage.MEASURE: fit.measure,
            Stage.REDUCE: fit.reduce,
            Stage.PROJECT: fit.project,
            Stage.TRACE: trajectories.trace,
            Stage.CARRY: trajectories.carry,
            Stage.WIDEN: emit.widen,
            Stage.EMIT: emit.emit,
            Stage.WEIGH: emit.weigh,
            Stage.SKETCH: rotation.sketch,
            Stage.GATHER: rotation.gather,
            Stage.MIX: rotation.mix,
            Stage.DIRECT: rotation.direct,
            Stage.ROTATE: rotation.rotate,
        }

    def perform(self, unit: Unit) -> Receipt:
        """Run one unit and keep its output.

        Args:
            unit: One of the plan's. What it reads is finished.

        Returns:
            The receipt of its output.

        Raises:
            BuildFailed: Anything went wrong. The message names the unit, the rows and the cause.
        """
        self._context.at = None
        try:
            self._context.read_passes()  # what was noted before is no part of this unit
            made = self._actions[unit.stage](unit)
            return self.workspace.write(unit, made, self._context.read_passes())
        except Exception as error:
            at = self._context.at
            rows = "" if at is None else f", rows {at[0]} to {at[-1]}"
            raise BuildFailed(
                f"{unit}{rows}: {type(error).__name__}: {error} (finished units are kept: "
                f"correct the cause and run the same command again)"
            ) from error
