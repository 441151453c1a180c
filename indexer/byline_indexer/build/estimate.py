"""Estimate the cost of a build from the units of a few rows. Leaves nothing on the disk."""

import hashlib
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from byline.api.example import Example
from byline.gradients.report import ParameterReport
from byline.index.examples import write_examples
from byline.index.layout import StorageOptions
from byline.loading.task_file import load_task
from byline.models.training_points import describe_row
from byline.models.unchecked import Unchecked
from byline.task import Task
from byline_indexer.build.group_estimate import Grouping, grouping
from byline_indexer.build.peak_memory import foretold_peak, left_by_fits, resident_memory
from byline_indexer.build.probe import probed_plan
from byline_indexer.build.survey import read_row
from byline_indexer.build.trial import Trial
from byline_indexer.config import BuildConfig
from byline_indexer.units.plan import BuildPlan, Numerics
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
    curvature: int
    """Bytes of the fitted state of all members, with the directions of a PCA."""
    others: int
    """Bytes of examples, columns, groups and the manifest."""
    temporary: int
    """Bytes of the work directory at its fullest, gone after the build."""

    @property
    def index(self) -> int:
        """Bytes of the whole index."""
        return self.vectors + self.search + self.curvature + self.others

    @property
    def seconds(self) -> float:
        """Seconds of the whole build."""
        return sum(each.seconds for each in self.passes)


def estimate(config: BuildConfig) -> Estimate:
    """Run the units of a few rows of the first member, and extrapolate.

    Args:
        config: The build file.

    Returns:
        Times, memory and bytes.

    Raises:
        InvalidTask: The Task or its weights are wrong.
        UnsupportedModel: Its gradients cannot be taken example by example.
        BuildFailed: A unit of the trial failed.
    """
    start = time.perf_counter()
    task = load_task(config.task).task
    unchecked = Unchecked(task, config.recipe, Numerics.of(config.build).compute)
    probed = probed_plan(config, task, checks=unchecked)
    loading, plan = time.perf_counter() - start + unchecked.spared, probed.plan
    threads_before = torch.get_num_threads()
    torch.set_num_threads(plan.numerics.threads)
    try:
        made = grouping(plan, task)
        loaded = resident_memory()
        trial = Trial.run(probed, task, made.groups)
        every = trial.width * len(plan.members)
        width, rotation = _rotation(plan, every)
        passes = (
            Pass("load and check the model", 1, loading * len({m.checkpoint for m in plan.members})),
            *_passes(plan, task, trial, made, config.build.workers),
            *rotation,
        )
    finally:
        torch.set_num_threads(threads_before)
    processes = config.build.workers + 1 if config.build.workers > 1 else 1
    vectors, search = stored_bytes(made.groups, width, config.index.storage())
    fitted = len(plan.members) * left_by_fits(trial)
    curvature = fitted + _directions(plan, every)
    others = _metadata_bytes(task, plan, made.groups, width)
    passes += (Pass("write the index", made.groups, _write_time(vectors + search + curvature + others)),)
    return Estimate(
        rows=plan.rows,
        members=len(plan.members),
        parameters=plan.parameters,
        width=width,
        passes=passes,
        memory=processes * foretold_peak(plan, trial, loaded),
        vectors=vectors,
        search=search,
        curvature=curvature,
        others=others,
        temporary=_features_room(plan, made.groups, every, width)
        + (made.groups * width * 8 if plan.grouping and not plan.fast else 0)
        + fitted
        + _kept_gradients(plan)
        + max(_kept_for_a_member(plan, trial), _partial_sums(plan, trial), _rotation_room(plan, every))
        + vectors
        + search
        + curvature
        + others,
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
        seconds[name] += trial.stage_seconds(stage, plan) / min(workers, len(stage))
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


def _directions(plan: BuildPlan, every: int) -> int:
    """Count the bytes of a PCA's directions, a byte a number, and their factors. 0 where there is none."""
    pca = plan.recipe.pca
    if pca is None:
        return 0
    size = pca.kept_size(plan.rotation_sample, every)
    return size * (every + 4 * len(plan.members))


METADATA_ROWS = 128
"""Rows whose metadata are written for a trial."""
MANIFEST_BYTES = 4000
"""Bytes of a manifest beside the names of parameters."""


def _metadata_bytes(task: Task, plan: BuildPlan, groups: int, width: int) -> int:
    """Estimate the bytes of examples, columns, owners' sums and the manifest, from examples written for a trial."""
    few = min(plan.rows, METADATA_ROWS)
    examples = [describe_row(task, place * plan.rows // few) for place in range(few)]
    sizes = [_examples_bytes(examples[:count]) for count in (few // 2, few)]
    a_row = (sizes[1] - sizes[0]) / max(1, few - few // 2)
    owners = len({example.owner for example in examples} - {None})
    columns = 4 * owners * width + groups * 8 * (1 + (plan.recipe.row_weight != "none")) + 4 * groups
    names = sum(len(name) + 200 for block in plan.parameter_blocks for name in block.parameters)
    return int(sizes[1] + a_row * (groups - few)) + columns + MANIFEST_BYTES + names


def _examples_bytes(examples: Sequence[Example]) -> int:
    with tempfile.TemporaryDirectory(prefix="byline-estimate-") as folder:
        path = Path(folder) / "examples.sqlite"
        for _ in write_examples(path, examples, len(examples)):
            pass
        return path.stat().st_size


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


def _kept_gradients(plan: BuildPlan) -> int:
    """Count the bytes of one member's whole gradients, where later passes read them."""
    numbers = sum(block.rows * block.columns for block in plan.parameter_blocks)
    return 4 * numbers * plan.rows if plan.keeps_gradients else 0


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


def _write_time(size: int) -> float:
    """Measure the seconds of writing some bytes, which are converted, written and digested twice."""
    sample = np.ones(1 << 22, dtype=np.float32)
    start = time.perf_counter()
    with tempfile.TemporaryFile(prefix="byline-estimate-") as file:
        for _ in range(2):
            hashlib.sha256(sample.astype(np.float16).tobytes() + sample[: len(sample) // 2].tobytes())
        file.write(sample.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return (time.perf_counter() - start) / sample.nbytes * size


def _warm(work: Callable[[], Result]) -> tuple[Result, float]:
    """Run twice and time the second: the first one allocates and compiles."""
    work()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start
