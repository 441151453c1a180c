"""Estimate the cost of a build from the units of two batches. Leaves nothing on the disk."""

import hashlib
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from byline.gradients.report import ParameterReport
from byline.index.layout import StorageOptions
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.build.group_estimate import Grouping, grouping
from byline_indexer.build.probe import probed_plan
from byline_indexer.build.survey import read_row
from byline_indexer.build.trial import Trial
from byline_indexer.config import BuildConfig
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.trajectories import matrix_widths
from byline_indexer.units.unit import Stage, Unit

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pass:
    """One pass over rows, by all members."""

    name: str
    rows: int
    seconds: float
    """Seconds with the build file's number of workers."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Time, memory and bytes of a build."""

    rows: int
    members: int
    width: int
    """Numbers of a feature over all members."""
    passes: tuple[Pass, ...]
    memory: int
    """Peak bytes of all processes together."""
    parameters: ParameterReport
    """Selected parameters that are attributed, frozen and unused."""
    vectors: int
    """Bytes of the stored rows."""
    search: int
    """Bytes of the search file."""
    temporary: int
    """Bytes of the work directory at its fullest, gone after the build."""

    @property
    def seconds(self) -> float:
        """Seconds of the whole build."""
        return sum(each.seconds for each in self.passes)


def estimate(config: BuildConfig) -> Estimate:
    """Run the units of two batches of the first member, and extrapolate.

    Args:
        config: The build file.

    Returns:
        Times, memory and bytes. Times are good to a factor of about 1.5: batches differ.

    Raises:
        InvalidTask: The Task or its weights are wrong.
        UnsupportedModel: Its gradients cannot be taken example by example.
        BuildFailed: A unit of the trial failed.
    """
    task = load_task(config.task).task
    probed = probed_plan(config, task)
    plan = probed.plan
    threads_before = torch.get_num_threads()
    torch.set_num_threads(plan.numerics.threads)
    try:
        made = grouping(plan, task)
        trial = Trial.run(probed, task, made.groups)
        every = trial.width * len(plan.members)
        width, rotation = _rotation(plan, every)
        passes = (*_passes(plan, task, trial, made, config.build.workers), *rotation)
    finally:
        torch.set_num_threads(threads_before)
    passes += (Pass("write the index", made.groups, made.groups * _write_time(width)),)
    processes = config.build.workers + 1 if config.build.workers > 1 else 1
    vectors, search = stored_bytes(made.groups, width, config.index.storage())
    return Estimate(
        rows=plan.rows,
        members=len(plan.members),
        parameters=plan.parameters,
        width=width,
        passes=passes,
        memory=_peak_memory() * processes,
        vectors=vectors,
        search=search,
        temporary=_features_room(plan, made.groups, every, width)
        + (made.groups * width * 8 if plan.grouping and not plan.fast else 0)
        + _left_by_fits(plan, trial)
        + max(_kept_for_a_member(plan, trial), _partial_sums(plan, trial), _rotation_room(plan, every))
        + vectors
        + search,
    )


def _passes(plan: BuildPlan, task: Task, trial: Trial, made: Grouping, workers: int) -> Iterator[Pass]:
    """Extrapolate from the trial's units to all units of the build.

    Yields:
        What each pass will cost over all rows and members.
    """
    batch = range(min(plan.numerics.batch_rows, plan.rows))
    yield Pass("read training set", plan.rows, _seconds(partial(_read, task), batch) / len(batch) * plan.rows)
    if plan.grouping is not None:
        yield Pass("group training points", plan.rows, made.seconds)
    rows: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    own = (each for m in plan.members for each in _member_stages(plan, m.name))
    for stage in (*plan.weigh_stages(), *own):
        weight, name = sum(map(plan.weight, stage)), _pass_name(stage[0])
        rows[name] += weight * _passes_a_row(plan, stage[0])
        seconds[name] += weight * trial.rate(stage[0]) / min(workers, len(stage))
    for name, count in rows.items():
        yield Pass(name, count, seconds[name])


def _member_stages(plan: BuildPlan, member: str) -> Iterator[list[Unit]]:
    """List a member's stages with a pass over the model, those that follow a PCA's fit included.

    Yields:
        The units of each stage.
    """
    yield from plan.stages(member)
    later = [unit for unit in plan.emit_units(member) if not plan.widened(unit.block)]
    if plan.recipe.pca is not None and later:
        yield later


_COUNTED = {Stage.MEASURE, Stage.TRACE, Stage.WIDEN, Stage.EMIT}
"""Stages with one pass over the model for each row."""


def _passes_a_row(plan: BuildPlan, unit: Unit) -> int:
    """Count the passes over the model that a unit makes for each row; 0 for stages that end a pass or go before it."""
    if unit.stage is Stage.WEIGH:
        return plan.recipe.members.forward_masks or 1
    return int(unit.stage in _COUNTED)


def _pass_name(unit: Unit) -> str:
    match unit.stage:
        case Stage.MEASURE | Stage.REDUCE:
            return f"measure {unit.family}"
        case Stage.TRACE | Stage.CARRY:
            return "trace and carry"
        case Stage.PROJECT | Stage.WIDEN | Stage.EMIT:
            return "project and emit"
        case _:
            return str(unit.stage)


def _read(task: Task, rows: range) -> None:
    for row in rows:
        read_row(task, row)


def _left_by_fits(plan: BuildPlan, trial: Trial) -> int:
    """Count the bytes of the fitted state of all members."""
    return len(plan.members) * sum(
        each.size for unit, each in trial.receipts.items() if unit.stage is Stage.REDUCE
    )


def _partial_sums(plan: BuildPlan, trial: Trial) -> int:
    """Count the bytes of the partial sums of the largest statistic."""
    member = plan.members[0].name
    fits = (plan.measures(member, statistic.name) for statistic in plan.statistics)
    return int(max((len(units) * trial.bytes_of(units[0]) for units in fits if units), default=0))


def _kept_for_a_member(plan: BuildPlan, trial: Trial) -> int:
    """Count the bytes of one member's kept projections or traced spans."""
    member = plan.members[0].name
    kept = trial.bytes_of(Unit(Stage.PROJECT, member, 0)) / plan.numerics.batch_rows * plan.rows
    visits = max(map(sum, plan.recordings.values()), default=0)
    carries = 2 * 8 * sum(k * k for k in matrix_widths(plan.recipe, plan.parameter_blocks))
    return int(kept) + visits * trial.width * 4 + carries


def _rotation(plan: BuildPlan, every: int) -> tuple[int, tuple[Pass, ...]]:
    """Estimate the width of a stored vector, and the passes of a PCA over features of `every` numbers."""
    pca, rows = plan.recipe.pca, plan.rotation_sample
    if pca is None:
        return every, ()
    size, sketched = pca.kept_size(rows, every), len(pca.landmarks(rows))
    a_product = _product_time(sketched) * every * sketched
    reading = every * 4 / _READ_BYTES
    fitted = Pass("fit the pca", rows * pca.passes, rows * pca.passes * 2 * (a_product + reading))
    rotated = Pass("rotate", plan.rows, plan.rows * (a_product * size / sketched + reading))
    return size, (fitted, rotated)


def _features_room(plan: BuildPlan, groups: int, every: int, width: int) -> int:
    """Count the bytes of all members' features: of every row, or wide ones of a PCA's fit and rotated ones of every row."""
    if plan.recipe.pca is None:
        return (groups if plan.fast else plan.rows) * every * 4
    return plan.rotation_sample * every * 4 + plan.rows * width * 4 * (len(plan.members) + 1)


def _rotation_room(plan: BuildPlan, every: int) -> int:
    """Count the bytes of one PCA pass: sketches, sums and directions."""
    pca, rows = plan.recipe.pca, plan.rotation_sample
    if pca is None:
        return 0
    sketched = len(pca.landmarks(rows))
    return sketched * (rows * 4 + every * (8 + 4) * pca.passes)


_READ_BYTES = 1e9
"""Bytes of kept features that are read in a second, roughly."""


def _product_time(columns: int) -> float:
    """Measure the seconds of one multiplication and addition in a product of matrices."""
    left, right = torch.ones(256, 1024), torch.ones(1024, columns)
    _, seconds = _warm(lambda: left @ right)
    return seconds / (256 * 1024 * columns)


def stored_bytes(rows: int, width: int, storage: StorageOptions) -> tuple[int, int]:
    """Estimate the bytes of the stored rows and of the search file."""
    flat = rows * width * storage.stored_type.itemsize
    codes = rows * (width // 8 + 12)
    if storage.keep == "codes":
        return 0, codes if storage.search == "compressed" else flat
    return flat, flat + (codes if storage.search == "compressed" else 0)


def _seconds(work: Callable[[range], None], batch: range) -> float:
    start = time.perf_counter()
    work(batch)
    return time.perf_counter() - start


def _write_time(width: int) -> float:
    """Measure the seconds of writing a row, which is read, converted, written and digested about twice."""
    block_BK = np.ones((256, width), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(2):
        hashlib.sha256(block_BK.copy().tobytes() + block_BK.astype(np.float16).tobytes())
    return (time.perf_counter() - start) / len(block_BK)


def _warm(work: Callable[[], Result]) -> tuple[Result, float]:
    """Run twice and time the second: the first one allocates and compiles."""
    work()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _peak_memory() -> int:
    """Read the peak resident bytes of this process. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
