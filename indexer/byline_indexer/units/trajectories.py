"""Make features from a recorded run, by following its spans to the final weights, the last span first.

A TRACE unit leaves what each visit of its span did to the final weights, sorted by row; a CARRY unit the product that
the span before it begins with; an EMIT unit adds up its rows' visits over all spans. So memory holds one span, whatever
the number of steps and of rows.

Letters: N visits, K numbers of a feature, B rows of a block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from byline.curvature.trajectory import RecordedSteps, Trajectory, carry_back, trace_span
from byline.digests import require_digest
from byline.errors import InvalidTask
from byline.gradients.outer_products.blocks import Block
from byline.index.recordings import open_recording, require_recording
from byline.members import Member
from byline.recipes import Recipe
from byline.recording import recording_head
from byline.task import Task
from byline.types import Rows, State
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


class Trajectories:
    """Performs the units of recorded runs.

    Args:
        plan: What is built.
        workspace: The units' outputs.
        task: Gives the Task, whose checkpoints name their recordings.
    """

    def __init__(self, plan: BuildPlan, workspace: Workspace, task: Callable[[], Task]) -> None:
        self._plan, self._workspace, self._task = plan, workspace, task

    def trace(self, unit: Unit) -> State:
        """Trace the visits of one span: `rows` int64 [N] ascending, `traced` float32 [N, K] in their order."""
        span = self._span(unit)
        traced_NK = trace_span(span, self._carries(unit))
        order = torch.argsort(span.rows_N, stable=True)
        return {"rows": span.rows_N[order], "traced": traced_NK[order]}

    def carry(self, unit: Unit) -> State:
        """Compute the product that the span before this one begins with: float64 [k, k] for each block."""
        span = self._span(unit)
        sorted_NK = self._workspace.read(self._trace_unit(unit.member, unit.block), ("traced",))["traced"]
        traced_NK = torch.empty_like(sorted_NK)
        traced_NK[torch.argsort(span.rows_N, stable=True)] = sorted_NK
        made = carry_back(span, traced_NK.to(span.phi_NK.device), self._carries(unit))
        return {f"carry.{place:05d}": carry_kk for place, carry_kk in enumerate(made)}

    def features(self, member: str, rows: Rows) -> Tensor:
        """Add up what the visits of successive rows did, over all spans: float64 [B, K]; zeros for rows never used.

        Args:
            member: The member's name.
            rows: Ascending, without gaps.
        """
        sums_BK: Tensor | None = None
        for number in range(len(self._plan.recordings[member])):
            with self._workspace.opened(self._trace_unit(member, number)) as file:
                found_N = file.get_tensor("rows")
                first, end = torch.searchsorted(found_N, torch.tensor([rows[0], rows[-1] + 1])).tolist()
                part_NK = file.get_slice("traced")[first:end].double()
            if sums_BK is None:
                sums_BK = torch.zeros(len(rows), part_NK.shape[1], dtype=torch.float64)
            sums_BK.index_add_(0, found_N[first:end] - int(rows[0]), part_NK)
        assert sums_BK is not None
        return sums_BK

    def _span(self, unit: Unit) -> RecordedSteps:
        checkpoint = self._task().checkpoints[self._plan.member(unit.member).checkpoint]
        assert checkpoint.recording is not None
        recording = open_recording(checkpoint.recording)
        if checkpoint.expected is not None:
            require_digest(
                f"the recording at {checkpoint.recording}", recording.digest, checkpoint.expected.recording
            )
        span = recording.read(unit.block)
        return replace(span, phi_NK=span.phi_NK.to(self._plan.numerics.device))

    def _carries(self, unit: Unit) -> Sequence[Tensor]:
        """Read the product of the later spans. The identity after the last one."""
        device = self._plan.numerics.device
        if unit.block + 1 < len(self._plan.recordings[unit.member]):
            kept = self._workspace.read(Unit(Stage.CARRY, unit.member, unit.block + 1))
            return [kept[name].to(device) for name in sorted(kept)]
        widths = matrix_widths(self._plan.recipe, self._plan.parameter_blocks)
        return [torch.eye(width, dtype=torch.float64, device=device) for width in widths]

    def _trace_unit(self, member: str, number: int) -> Unit:
        return Unit(Stage.TRACE, member, number)


def matrix_widths(recipe: Recipe, blocks: Sequence[Block]) -> tuple[int, ...]:
    """List the widths of the matrices of a recorded run; none for other recipes."""
    if not isinstance(recipe.curvature, Trajectory):
        return ()
    return recipe.curvature.cut(recipe.projection.projector(blocks, {}).widths)


def recorded_visits(
    task: Task, recipe: Recipe, members: Sequence[Member], blocks: Sequence[Block]
) -> Mapping[str, tuple[int, ...]]:
    """Open the recorded run of every member.

    Args:
        task: Its checkpoints name the recordings.
        recipe: Says whether they are needed.
        members: The ensemble.
        blocks: What is attributed.

    Returns:
        Member name -> visits of each span. Nothing where the recipe needs no recording.

    Raises:
        InvalidTask: A recording is missing, incomplete, or of another recipe, model or training set.
    """
    if not recipe.recorded:
        return {}
    expected = recording_head(recipe, blocks, len(task.train_set))
    if recipe.scale.uses_moments and any(
        task.checkpoints[m.checkpoint].optimizer_state is None for m in members
    ):
        raise InvalidTask(
            "expected Checkpoint.optimizer_state beside Checkpoint.recording, since the recipe has a scale, got none: save "
            "byline.models.optimizer_state.adam_state(optimizer, model) after the last step, by which queries are scaled"
        )
    opened = {m.name: require_recording(task.checkpoints[m.checkpoint].recording, expected) for m in members}
    return {name: tuple(span.visits for span in recording.spans) for name, recording in opened.items()}
