"""Expect the seconds of every phase of a build before its work, for the time that remains.

Only proportions matter: what phases take corrects the rest. Passes are expected from one timed gradient, the ends of
fits from the sizes of their matrices, and writing from bytes.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from byline.curvature.kronecker import Ekfac, Kfac
from byline.projection.eigenbasis import EigenbasisProjection
from byline_indexer.build.estimate import stored_bytes
from byline_indexer.config import BuildSettings
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import phase
from byline_indexer.units.unit import Stage, Unit, family

PROJECTING = 1.3
"""Seconds of a gradient with its projection, or with what is measured of it, in units of the gradient's."""
READING = 0.1
"""The same where a kept gradient is read."""
BYTES_A_SECOND = 2e8
"""Bytes that are written and digested in a second, roughly."""
_ROWS, _TRIES = 256, 5


@dataclass(frozen=True)
class Rates:
    """Measured seconds of parts of the work."""

    gradient: float
    """Of one row's gradient."""
    eigen: float
    """Of an eigendecomposition, for each cube of its rows."""
    product: float
    """Of one multiplication and addition of matrices in float64."""


def measured_rates(gradient: float) -> Rates:
    """Time a small matrix, each operation at its best of a few: on a busy machine a single one may take ten times as long.

    Args:
        gradient: Seconds of one row's gradient.
    """
    rows = torch.randn(_ROWS, _ROWS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = rows.T @ rows
    eigen, product = _best(lambda: torch.linalg.eigh(matrix)), _best(lambda: rows @ matrix)
    return Rates(gradient, eigen / _ROWS**3, product / _ROWS**3)


def _best(work: Callable[[], object]) -> float:
    """Measure the seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def expected_seconds(plan: BuildPlan, config: BuildSettings, rates: Rates) -> dict[str, float]:
    """Expect the seconds of each phase.

    Args:
        plan: The build.
        config: Its settings.
        rates: Of this machine.
    """
    expected: dict[str, float] = defaultdict(float)
    workers = config.build.workers
    for stage in _stages(plan):
        own = sum(_unit_seconds(plan, unit, rates) for unit in stage)
        expected[phase(stage[0])] += own / min(workers, len(stage))
    size = _row_width(plan)
    vectors, search = stored_bytes(plan.rows, size, config.index.storage())
    expected["write vectors"] = vectors / BYTES_A_SECOND
    expected["write search"] = search / BYTES_A_SECOND
    state = 4 * sum(width * width for width in _matrices(plan))
    expected["write checksums"] = expected["verify"] = (vectors + search + state) / 2 / BYTES_A_SECOND
    return dict(expected)


def _stages(plan: BuildPlan) -> Iterator[list[Unit]]:
    yield from plan.weigh_stages()
    for member in plan.members:
        yield from plan.stages(member.name)
    yield from plan.rotation_stages()
    if plan.recipe.pca is not None:
        yield from (plan.emit_units(member.name) for member in plan.members)
        yield plan.rotate_units()


def _unit_seconds(plan: BuildPlan, unit: Unit, rates: Rates) -> float:
    rows, width = plan.weight(unit), _member_width(plan)
    match unit.stage:
        case Stage.MEASURE:
            if plan.statistic(unit.statistic).reads_projections:
                return rows * rates.product * sum(w * w for w in _matrices(plan))
            return rows * _pass_part(plan, unit) * rates.gradient
        case Stage.REDUCE:
            # Eigenvectors for Kronecker factors; a Cholesky root is of a quarter of the operations.
            part = 1.0 if isinstance(plan.recipe.curvature, Kfac | Ekfac) else 0.25
            ends = not isinstance(plan.recipe.curvature, Ekfac) or unit.family == "factors"
            waves = sum(family(each.name) == unit.family for each in plan.statistics)
            return part * rates.eigen * sum(w**3 for w in _matrices(plan)) / waves if ends else rates.gradient
        case Stage.PROJECT | Stage.WIDEN | Stage.WEIGH | Stage.TRACE | Stage.CARRY:
            return rows * _pass_part(plan, unit) * rates.gradient
        case Stage.EMIT:
            made = plan.keeps_projections or plan.widened(unit.block)
            rotated = rates.product / 2 * width * _row_width(plan) if plan.recipe.pca else 0.0
            return rows * (rotated + (0.05 if made else _pass_part(plan, unit)) * rates.gradient)
        case _:
            return _rotation_seconds(plan, unit, rates)


def _pass_part(plan: BuildPlan, unit: Unit) -> float:
    """Expect the seconds of a pass, in units of the gradient's: little where an earlier pass kept its gradients."""
    first = unit.stage is Stage.MEASURE and plan.statistic(unit.statistic).source == "positions"
    reads = unit.stage in {Stage.MEASURE, Stage.PROJECT, Stage.WIDEN, Stage.EMIT}
    return READING if plan.keeps_gradients and reads and not first else PROJECTING


def _rotation_seconds(plan: BuildPlan, unit: Unit, rates: Rates) -> float:
    assert plan.recipe.pca is not None
    sketched, width = len(plan.recipe.pca.landmarks(plan.rotation_sample)), _member_width(plan)
    match unit.stage:
        case Stage.SKETCH:
            return plan.weight(unit) * rates.product / 2 * width * sketched * len(plan.members)
        case Stage.GATHER:
            return plan.rotation_sample * rates.product / 2 * width * sketched
        case Stage.MIX:
            return 2 * rates.eigen * sketched**3 + rates.product * width * sketched**2
        case Stage.DIRECT:
            return rates.product * width * sketched * _row_width(plan)
        case _:
            return plan.weight(unit) * _row_width(plan) * 4 / BYTES_A_SECOND


def _member_width(plan: BuildPlan) -> int:
    """Expect the numbers of a member's feature."""
    projection = plan.recipe.projection
    whole = sum(block.rows * block.columns for block in plan.parameter_blocks)
    if isinstance(projection, EigenbasisProjection):
        return min(projection.size, whole)
    size = getattr(projection, "size", None)
    return sum(_widths(plan).values()) if size is None or hasattr(projection, "sizes") else int(size)


def _row_width(plan: BuildPlan) -> int:
    every = _member_width(plan) * len(plan.members)
    return every if plan.recipe.pca is None else plan.recipe.pca.kept_size(plan.rotation_sample, every)


def _widths(plan: BuildPlan) -> Mapping[str, int]:
    return plan.recipe.projection.projector(plan.parameter_blocks, {}).widths


def _matrices(plan: BuildPlan) -> list[int]:
    """List the rows of the matrices that a fit ends with."""
    curvature = plan.recipe.curvature
    if isinstance(curvature, Kfac | Ekfac):
        sides = [(block, side) for block in plan.parameter_blocks for side in ("left", "right")]
        dense = [
            (b.rows if side == "left" else b.columns, curvature.is_diagonal(b, side)) for b, side in sides
        ]
        return [width for width, diagonal in dense if not diagonal]
    if curvature.kind not in {"fisher", "datainf"}:
        return []
    joint = getattr(curvature, "blocks", "layer") == "joint"
    widths = list(_widths(plan).values())
    return [sum(widths)] if joint else widths
