"""Run the units that are not finished, and delete outputs that no unit reads again.

One member at a time keeps the disk bounded: projections and partial sums of one member, features of all.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from byline.gradients.report import ParameterReport
from byline.progress import Step, report_to
from byline.progress import stage as named_stage
from byline_indexer.progress import Observer
from byline_indexer.units.executor import Executor
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Receipt, Workspace


def run_units(plan: BuildPlan, workspace: Workspace, executor: Executor, observer: Observer) -> None:
    """Bring every unit of a plan to its end.

    Args:
        plan: The build.
        workspace: Its work directory, swept.
        executor: Runs the units.
        observer: Receives the progress of every finished unit.

    Raises:
        BuildFailed: A unit failed.
    """
    stages = _left(list(plan.weigh_stages()), workspace)
    stages += [
        stage for member in plan.members for stage in unfinished(plan, workspace, member.name, observer)
    ]
    stages += unfinished_rotation(plan, workspace)
    if plan.recipe.pca is not None:
        rotated = [*(plan.emit_units(member.name) for member in plan.members), plan.rotate_units()]
        stages += _left(rotated, workspace)
    totals: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for unit in (unit for stage in stages for unit in stage):
        totals[phase(unit)] += plan.weight(unit)
    for name in every_phase(plan):
        observer.progress(name, 0, totals[name])

    told = False

    def on_done(unit: Unit, receipt: Receipt) -> None:
        nonlocal told
        if receipt.passes.reason is not None and not told:
            told = True
            observer.message(taken_apart(plan, unit, receipt.passes.reason))
        workspace.delivered(unit, receipt)
        discard_read(plan, workspace, unit)
        done[phase(unit)] += plan.weight(unit)
        observer.progress(phase(unit), done[phase(unit)], totals[phase(unit)])

    for stage in stages:
        steps = StageSteps(plan, stage, done, totals, observer)

        def on_unit(unit: Unit, receipt: Receipt, steps: StageSteps = steps) -> None:
            on_done(unit, receipt)
            steps.finished += 1

        with report_to(steps.report), named_stage(phase(stage[0])):
            executor.run(stage, on_unit)
        discard_traces(plan, workspace, stage[0])


EVERY_S = 1.0
"""Seconds between two reports of the same work, at least."""


@dataclass
class StageSteps:
    """Tells an observer of the steps within a unit, where units run one after another in this thread."""

    plan: BuildPlan
    stage: Sequence[Unit]
    done: Mapping[str, int]
    """Finished work of each phase."""
    totals: Mapping[str, int]
    observer: Observer
    finished: int = 0
    """Finished units of the stage."""
    told: int = 0
    """Work that was told last."""
    told_at: float = field(default_factory=time.monotonic)

    def report(self, step: Step) -> None:
        """Add the part of the running unit that is done to what is finished.

        Steps too small to count are told as the same work, at most once in `EVERY_S`: a unit of many seconds is alive.
        """
        unit = self.stage[min(self.finished, len(self.stage) - 1)]
        part = min(int(step.fraction * self.plan.weight(unit)), self.plan.weight(unit) - 1)
        reached, now = self.done[phase(unit)] + part, time.monotonic()
        grown = part > 0 and reached > self.told
        if grown or now - self.told_at >= EVERY_S:
            self.told, self.told_at = max(reached, self.told), now
            self.observer.progress(phase(unit), self.told, self.totals[phase(unit)])


def taken_apart(plan: BuildPlan, unit: Unit, reason: str) -> str:
    """Write that a batch could not be cut into its examples, why, and the price."""
    return (
        f"{unit}: the examples of a batch are differentiated one at a time, which takes up to "
        f"{plan.numerics.batch_rows} times as long for such a batch: {reason}"
    )


def parameters_met(plan: BuildPlan, workspace: Workspace) -> ParameterReport:
    """Complete the report on parameters with what the passes of all units met.

    Args:
        plan: All its units are finished.
        workspace: Has their receipts.

    Returns:
        The plan's report. A parameter that some example has a gradient of is not listed as unused.
    """
    if not plan.parameters.unused:
        return plan.parameters
    reached: set[str] = set()
    own = (each for m in plan.members for each in (*plan.stages(m.name), plan.emit_units(m.name)))
    for stage in (*plan.weigh_stages(), *own):
        for unit in stage:
            receipt = workspace.receipt(unit)
            reached |= set() if receipt is None else set(receipt.passes.reached)
    unused = tuple(name for name in plan.parameters.unused if name not in reached)
    every = [name for block in plan.parameter_blocks for name in block.parameters]
    return replace(plan.parameters, unused=unused, attributed=tuple(n for n in every if n not in unused))


def phase(unit: Unit) -> str:
    """Name the phase of a unit for people."""
    return f"{unit.stage} {unit.family}".rstrip()


def every_phase(plan: BuildPlan) -> list[str]:
    """List all phases of the plan's units, in order."""
    stages = [*plan.weigh_stages(), *plan.stages(plan.members[0].name), *plan.rotation_stages()]
    if plan.recipe.pca is not None:
        stages += [plan.emit_units(plan.members[0].name), plan.rotate_units()]
    return list(dict.fromkeys(phase(stage[0]) for stage in stages))


def _left(stages: Sequence[list[Unit]], workspace: Workspace) -> list[list[Unit]]:
    """Leave out finished units, and stages that have no others."""
    left = [[unit for unit in stage if not workspace.finished(unit)] for stage in stages]
    return [stage for stage in left if stage]


_LASTING = {Stage.REDUCE, Stage.WIDEN, Stage.EMIT}
"""Stages whose outputs stay until the build ends. Others are deleted once they are read."""


def unfinished(
    plan: BuildPlan, workspace: Workspace, member: str, observer: Observer | None = None
) -> list[list[Unit]]:
    """List a member's units that must run, stage by stage.

    An output that was deleted after it had been read is missed only if its reader must run again.

    Args:
        plan: The build.
        workspace: What is there already.
        member: The member's name.
        observer: Receives the progress of checking outputs.

    Returns:
        The stages that have units left, in order.
    """
    stages = list(plan.stages(member))
    every = [unit for stage in stages for unit in stage]
    finished = _finished(workspace, every, observer)
    missing = [unit for unit in every if unit.stage in _LASTING and unit not in finished]
    if plan.recipe.pca is not None:
        missing += [unit for unit in plan.emit_units(member) if not workspace.finished(unit)]
    refit = {unit.statistic for unit in missing if unit.stage is Stage.REDUCE}
    reemit = {unit.block for unit in missing if unit.stage is not Stage.REDUCE}
    carries = carries_to_make(plan, member, finished) if reemit else set()
    reproject = any(s.reads_projections and s.name in refit for s in plan.statistics)

    def needed(unit: Unit) -> bool:
        match unit.stage:
            case Stage.MEASURE:
                return unit.statistic in refit
            case Stage.PROJECT:
                return reproject or unit.block in reemit
            case Stage.TRACE:
                return bool(reemit)
            case Stage.CARRY:
                return unit.block in carries
            case _:
                return True

    for unit in finished:
        if not needed(unit):
            workspace.discard(unit)
    left = [[unit for unit in stage if unit not in finished and needed(unit)] for stage in stages]
    return [stage for stage in left if stage]


def carries_to_make(plan: BuildPlan, member: str, finished: set[Unit]) -> set[int]:
    """List the spans of a recorded run whose carries are needed.

    A span's units read the carry of the span after it. Where that is not there, it is made from the next.
    """
    spans, wanted = len(plan.recordings.get(member, ())), set[int]()
    for number in range(spans):
        after = number + 1
        while Unit(Stage.TRACE, member, number) not in finished and after < spans and after not in wanted:
            wanted.add(after)
            after = spans if Unit(Stage.CARRY, member, after) in finished else after + 1
    return wanted


def unfinished_rotation(plan: BuildPlan, workspace: Workspace) -> list[list[Unit]]:
    """List the units of the PCA's fit that must run, stage by stage.

    Every unit of a stage reads all of the stages that it needs, so one missing output calls for all of these.
    What nothing calls for is deleted.

    Args:
        plan: The build.
        workspace: What is there already.

    Returns:
        The stages that have units left, in order.
    """
    stages = list(plan.rotation_stages())
    left: list[list[Unit]] = []
    wanted = {(unit.stage, unit.statistic) for stage in stages[-1:] for unit in stage}
    for stage in reversed(stages):
        finished = {unit for unit in stage if workspace.finished(unit)}
        if (stage[0].stage, stage[0].statistic) not in wanted:
            for unit in finished:
                workspace.discard(unit)
            continue
        missing = [unit for unit in stage if unit not in finished]
        if missing:
            left.append(missing)
            wanted |= _read_by(stage[0])
    return left[::-1]


def _read_by(unit: Unit) -> set[tuple[Stage, str]]:
    """List the stages of the PCA whose outputs a unit reads, with their pass."""
    same = unit.statistic
    match unit.stage:
        case Stage.SKETCH:
            return {(Stage.DIRECT, str(unit.number - 1))}
        case Stage.GATHER:
            return {(Stage.SKETCH, same)}
        case Stage.MIX:
            return {(Stage.SKETCH, same), (Stage.GATHER, same)}
        case Stage.DIRECT:
            return {(Stage.GATHER, same), (Stage.MIX, same)}
        case _:
            return set()


def _finished(workspace: Workspace, units: Sequence[Unit], observer: Observer | None) -> set[Unit]:
    """Find the units whose outputs are there, byte for byte."""
    begun = [unit for unit in units if workspace.receipt(unit) is not None]
    finished = set()
    for place, unit in enumerate(begun):
        if workspace.finished(unit):
            finished.add(unit)
        if observer is not None:
            observer.progress(f"check finished units of {unit.member}", place + 1, len(begun))
    return finished


def discard_read(plan: BuildPlan, workspace: Workspace, unit: Unit) -> None:
    """Delete the outputs that only this unit was to read."""
    if unit.stage is Stage.REDUCE:
        for part in plan.measures(unit.member, unit.statistic):
            workspace.discard(part)
    elif unit.stage is Stage.CARRY:
        workspace.discard(Unit(Stage.CARRY, unit.member, unit.block + 1))
    elif unit.stage is Stage.TRACE and unit.block == 0:
        workspace.discard(Unit(Stage.CARRY, unit.member, 1))
    elif unit.stage is Stage.MIX:
        for block in plan.rotation_blocks:
            workspace.discard(plan.sketch_unit(unit.number, block))
    elif unit.stage is Stage.EMIT and plan.keeps_projections:
        workspace.discard(Unit(Stage.PROJECT, unit.member, unit.block))


def discard_traces(plan: BuildPlan, workspace: Workspace, unit: Unit) -> None:
    """Delete a member's traced spans once all its features are made: every EMIT unit reads all of them."""
    if unit.stage is Stage.EMIT:
        for number in range(len(plan.recordings.get(unit.member, ()))):
            workspace.discard(Unit(Stage.TRACE, unit.member, number))
