"""What a build will cost, measured on one batch of every pass. Writes nothing."""

import hashlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from byline.curvature.base import Source
from byline.curvature.labels import Labels
from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.features.solving import ItemProducts
from byline.gradients.factors import BatchGradients
from byline.gradients.grouping import sum_micro_batches
from byline.gradients.report import ParameterReport
from byline.index.layout import StorageOptions
from byline.loading.task_file import load_task
from byline.models.member import MemberModel
from byline.models.training_points import read_items
from byline.task import Item, Task
from byline.types import Rows, State
from byline_indexer.build.group_estimate import Grouping, grouping, try_groups
from byline_indexer.build.planning import make_plan
from byline_indexer.build.survey import read_row
from byline_indexer.config import BuildConfig
from byline_indexer.units.emit import emitted
from byline_indexer.units.fitted import add_state
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.trajectories import matrix_widths
from byline_indexer.units.unit import family

Result = TypeVar("Result")


@dataclass(frozen=True)
class Pass:
    """One pass over rows, by all members."""

    name: str
    rows: int
    seconds: float
    """With the workers that the build file asks for."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a build will cost."""

    rows: int
    members: int
    width: int
    """Numbers of a feature over all members."""
    passes: tuple[Pass, ...]
    memory: int
    """Peak bytes of all processes together."""
    parameters: ParameterReport
    """What becomes of the selected parameters."""
    vectors: int
    """Bytes of the stored rows."""
    search: int
    """Bytes of the search file."""
    temporary: int
    """Bytes of the work directory at its fullest; gone after the build."""

    @property
    def seconds(self) -> float:
        """The whole build."""
        return sum(each.seconds for each in self.passes)


def estimate(config: BuildConfig) -> Estimate:
    """Try one batch of every pass of the first member and extrapolate.

    Args:
        config: The build file.

    Returns:
        Times, memory and bytes. Times are good to a factor of about 1.5: batches differ.

    Raises:
        InvalidTask: The Task or its weights are wrong.
        UnsupportedModel: Its gradients cannot be taken example by example.
    """
    task = load_task(config.task).task
    plan = make_plan(config, task)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(plan.numerics.threads)
    try:
        made = grouping(plan, task)
        trial = _Trial(plan, task, made)
        passes = tuple(trial.passes(config.build.workers))
    finally:
        torch.set_num_threads(threads_before)
    every = trial.width * len(plan.members)
    width, rotation = _rotation(plan, every)
    passes += rotation
    passes += (Pass("write the index", made.groups, made.groups * _write_time(width)),)
    processes = config.build.workers + 1 if config.build.workers > 1 else 1
    vectors, search = stored_bytes(made.groups, width, config.index.storage())
    kept = plan.rows * trial.width * 4 if plan.keeps_projections else 0
    kept += _traced_bytes(plan, trial.width)
    return Estimate(
        rows=plan.rows,
        members=len(plan.members),
        parameters=plan.parameters,
        width=width,
        passes=passes,
        memory=_peak_memory() * processes,
        vectors=vectors,
        search=search,
        temporary=(made.groups if plan.fast else plan.rows) * every * 4
        + (made.groups * width * 8 if plan.grouping and not plan.fast else 0)
        + trial.kept_states * len(plan.members)
        + max(kept, trial.partial_sums, _rotation_room(plan, every))
        + vectors
        + search,
    )


PRODUCT_ROWS = 4
"""Rows that curvature products are tried on: a fit may be of a hundred steps."""


@dataclass(frozen=True)
class _Tried:
    """The batch that everything is tried on."""

    model: MemberModel
    items: Sequence[Item]
    rows: Rows
    gradient_time: float
    """Seconds of its gradients at the data's labels."""
    workers: int

    def at_labels(self, labels: Labels) -> tuple[int, float]:
        """How often the batch is differentiated at these labels, and the seconds of it all."""
        if labels == "given":
            return 1, self.gradient_time
        rows_N = torch.from_numpy(self.rows)
        return _timed(lambda: sum(1 for _ in self.model.label_gradients(self.items, rows_N, labels)))

    def in_expectation(self, labels: Labels) -> tuple[int, float]:
        """The same for each point's own expectation over these labels."""
        if labels == "given":
            return 1, self.gradient_time
        return _timed(lambda: sum(1 for _ in self.model.expected_gradients(self.items, labels)))


class _Trial:
    """One batch of the first member, taken through every pass."""

    def __init__(self, plan: BuildPlan, task: Task, made: Grouping) -> None:
        self._plan, self._task, self._made = plan, task, made
        self.width = 0
        self.partial_sums = 0
        self.kept_states = 0

    def passes(self, workers: int) -> Iterator[Pass]:
        """Measure each pass.

        Args:
            workers: Processes that will share the work.

        Yields:
            What it will cost over all rows.
        """
        plan, members = self._plan, len(self._plan.members)
        batch = np.arange(min(plan.numerics.batch_rows, plan.rows), dtype=np.int64)
        yield Pass("read training set", plan.rows, _seconds(self._read, batch) / len(batch) * plan.rows)
        if plan.grouping is not None:
            yield Pass("group training points", plan.rows, self._made.seconds)
        model = MemberModel.load(self._task, plan.recipe, plan.members[0], plan.numerics.compute)
        items = read_items(self._task.train_set, batch)
        grads, gradient_time = _warm(lambda: model.gradients(items, plan.recipe.train_signal))
        a_row = 1 / len(batch) / workers
        state: State = {}
        sizes = {statistic.source: statistic.micro_batch for statistic in plan.statistics}

        def fitted(source: Source) -> BatchGradients:
            size = sizes.get(source, 1)
            return grads if size == 1 else sum_micro_batches(grads, batch, size)

        batches: dict[Source, Any] = {
            "gradients": fitted("gradients"),
            "evaluation": grads,
            "projected": fitted("projected"),
            "products": ItemProducts(model, items[:PRODUCT_ROWS]),
        }
        tried = _Tried(model, items, batch, gradient_time, workers)
        for source, measurable in batches.items():
            yield from self._measuring(tried, measurable, state, source)
        if plan.weighers:
            _, forward_time = _warm(lambda: model.values(items, plan.recipe.train_signal))
            weighed = plan.rows * len(plan.weighers) * max(1, plan.recipe.members.forward_masks)
            yield Pass("weigh", weighed, weighed * forward_time * a_row)
        featurizer = MemberFeaturizer(plan.recipe, model.blocks, state)
        self.width = featurizer.width
        visits = sum(map(sum, plan.recordings.values()))
        if visits:
            seconds = visits * _trace_time(matrix_widths(plan.recipe, plan.parameter_blocks))
            yield Pass("trace and carry", visits, seconds)
        every = plan.rows * members
        if plan.fast:
            size = -(-plan.rows // self._made.groups)
            seconds = try_groups(plan, self._task, size, model, featurizer)
            yield Pass("project and emit", every, every * seconds / workers)
            return
        projected, projection_time = _warm(lambda: featurizer.project_training(grads))
        known_NK = projected["phi"] if plan.recipe.recorded else None
        _, feature_time = _warm(lambda: emitted(featurizer, projected, known_NK))
        made_time = projection_time + feature_time
        emit_time = gradient_time + made_time
        if plan.recipe.row_weight == "leverage":
            count, label_time = tried.in_expectation(plan.recipe.labels)
            emit_time += label_time + count * made_time
        yield Pass("project and emit", every, every * emit_time * a_row)

    def _measuring(self, tried: "_Tried", measurable: Any, state: State, source: Source) -> Iterator[Pass]:
        """Cost of the statistics of one source; a statistic's steps are one pass.

        Yields:
            What each will cost over all rows that it is fitted on.
        """
        members = len(self._plan.members)
        costs: dict[str, tuple[int, float]] = {}
        for name, rows, measured, finished in self._fit(tried.model, measurable, state, source):
            planned = self._plan.statistic(name)
            anew = source != "products" and not planned.reads_projections
            points = len(measurable) if source == "products" else len(tried.rows)
            count, label_time = tried.at_labels(planned.labels)
            needed = measured * count / points + (label_time / len(tried.rows) if anew else 0.0)
            before = costs.get(family(name), (0, 0.0))
            costs[family(name)] = before[0] + rows, before[1] + rows * needed / tried.workers + finished
        for name, (rows, seconds) in costs.items():
            yield Pass(f"measure {name}", rows * members, members * seconds)

    def _read(self, batch: Rows) -> None:
        for row in batch:
            read_row(self._task, int(row))

    def _fit(
        self, model: MemberModel, measurable: Any, state: State, source: Source
    ) -> Iterator[tuple[str, int, float, float]]:
        """Fit the statistics of one source on the batch; adds to `state`.

        Yields:
            Name, rows, seconds a batch, seconds to finish.
        """
        plan = self._plan
        planned = {each.name for each in plan.statistics}
        for statistic in statistics(plan.recipe, model.blocks):
            if statistic.source != source or statistic.name not in planned:
                continue
            batch = measurable
            projected = 0.0
            if source in {"projected", "evaluation"}:
                featurizer = MemberFeaturizer(plan.recipe, model.blocks, state)
                batch, projected = _warm(partial(featurizer.project, measurable, Side.TRAIN))
            if plan.statistic(statistic.name).reads_projections:
                projected = 0.0  # they were kept
            step = partial(statistic.measure, batch, state)
            part, measured = _timed(step) if source == "products" else _warm(step)
            sums: State = {}
            add_state(sums, part)
            size = sum(t.numel() * t.element_size() for t in sums.values())
            self.partial_sums = max(self.partial_sums, size * len(plan.fit_blocks(statistic.name)))
            start = time.perf_counter()
            left = statistic.finish(sums, len(measurable), state)
            self.kept_states += sum(t.numel() * t.element_size() for t in left.values())
            state |= left
            rows = sum(map(len, plan.fit_blocks(statistic.name)))
            yield statistic.name, rows, measured + projected, time.perf_counter() - start


def _trace_time(widths: Sequence[int]) -> float:
    """Seconds of a visit: three products with float64 matrices of these widths."""
    total = 0.0
    for width in widths:
        batch, square = torch.ones(64, width, dtype=torch.float64), torch.eye(width, dtype=torch.float64)
        total += 3 * _warm(partial(torch.matmul, batch, square))[1] / len(batch)
    return total


def _traced_bytes(plan: BuildPlan, width: int) -> int:
    """Bytes of one member's traced spans and of the products between two of them."""
    visits = max(map(sum, plan.recordings.values()), default=0)
    return visits * width * 4 + 2 * 8 * sum(k * k for k in matrix_widths(plan.recipe, plan.parameter_blocks))


def _rotation(plan: BuildPlan, every: int) -> tuple[int, tuple[Pass, ...]]:
    """Numbers of a stored vector, and the PCA's passes over features of so many numbers, where there is one."""
    pca, rows = plan.recipe.pca, plan.rotation_sample
    if pca is None:
        return every, ()
    size, sketched = pca.kept(rows, every), pca.sketched(rows, every)
    a_product = _product_time(sketched) * every * sketched
    reading = every * 4 / _READ_BYTES
    fitted = Pass("fit the pca", rows * pca.passes, rows * pca.passes * 2 * (a_product + reading))
    rotated = Pass("rotate", plan.rows, plan.rows * (a_product * size / sketched + reading))
    return size, (fitted, rotated)


def _rotation_room(plan: BuildPlan, every: int) -> int:
    """Bytes of one pass's sketches, sums and directions."""
    pca, rows = plan.recipe.pca, plan.rotation_sample
    if pca is None:
        return 0
    sketched = pca.sketched(rows, every)
    return sketched * (rows * 4 + every * (8 + 4) * pca.passes)


_READ_BYTES = 1e9
"""Bytes of kept features that are read in a second, roughly."""


def _product_time(columns: int) -> float:
    """Seconds of one multiplication and addition in a product of matrices."""
    left, right = torch.ones(256, 1024), torch.ones(1024, columns)
    _, seconds = _warm(lambda: left @ right)
    return seconds / (256 * 1024 * columns)


def stored_bytes(rows: int, width: int, storage: StorageOptions) -> tuple[int, int]:
    """Bytes of the stored rows and of the search file, roughly."""
    flat = rows * width * storage.stored_type.itemsize
    codes = rows * (width // 8 + 12)
    if storage.keep == "codes":
        return 0, codes if storage.search == "compressed" else flat
    return flat, flat + (codes if storage.search == "compressed" else 0)


def _seconds(work: Callable[[Rows], None], batch: Rows) -> float:
    start = time.perf_counter()
    work(batch)
    return time.perf_counter() - start


def _write_time(width: int) -> float:
    """Seconds a row: it is read, converted, written and digested, about twice each."""
    block_BK = np.ones((256, width), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(2):
        hashlib.sha256(block_BK.copy().tobytes() + block_BK.astype(np.float16).tobytes())
    return (time.perf_counter() - start) / len(block_BK)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Run and time once: a product is long, and the steps of a fit are many."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _warm(work: Callable[[], Result]) -> tuple[Result, float]:
    """Run twice and time the second: the first one allocates and compiles."""
    work()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _peak_memory() -> int:
    """Peak resident bytes of this process; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
