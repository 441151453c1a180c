"""Foretell the peak memory of a build from a trial of a few rows, whose batches are smaller than the build's."""

import resource
import sys
from pathlib import Path

from byline_indexer.build.trial import Trial
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage


def foretold_peak(plan: BuildPlan, trial: Trial, loaded: int) -> int:
    """Add up what the largest stage of one process holds.

    Args:
        plan: The build.
        trial: Its trial.
        loaded: Resident bytes with the checked model in memory, before the trial.

    Returns:
        Bytes. The trial's own peak where that is more.
    """
    rows = min(plan.numerics.block_rows, plan.rows)
    more_rows = min(max(0, rows - trial.plan.numerics.block_rows), plan.rows)
    fitted = left_by_fits(trial)
    batch = trial.batch if plan.numerics.device == "cpu" else 0
    return max(
        peak_memory() + _FEATURES * trial.width * more_rows,
        loaded + _CHECKED * sum(block.rows * block.columns for block in plan.parameter_blocks),
        loaded + batch + _sums(plan, trial),
        loaded + batch + fitted + _FEATURES * trial.width * rows,
        loaded + fitted + _rotation(plan, trial.width),
    )


_FEATURES = 3 * 4
"""Bytes of a feature's number: its projection, the preconditioned one, and the block that is written."""


_CHECKED = 4 * 4
"""Bytes of an attributed number in the check of a model: four whole gradients in single precision."""


def left_by_fits(trial: Trial) -> int:
    """Count the bytes of the fitted state of one member."""
    return sum(each.size for unit, each in trial.receipts.items() if unit.stage is Stage.REDUCE)


def _sums(plan: BuildPlan, trial: Trial) -> int:
    """Count the bytes of the sums of the largest statistic that is measured on gradients, batch after batch."""
    fits = (plan.measures(plan.members[0].name, each.name) for each in plan.statistics)
    measured = [units[0] for units in fits if units]
    taken = [unit for unit in measured if not plan.statistic(unit.statistic).reads_projections]
    return int(max((trial.bytes_of(unit) for unit in taken), default=0))


def _rotation(plan: BuildPlan, width: int) -> int:
    """Count the bytes of one member's sums and directions in a PCA, with the copies that are made of them."""
    pca = plan.recipe.pca
    if pca is None:
        return 0
    sketched = len(pca.landmarks(plan.rotation_sample))
    return width * (20 * sketched + 12 * min(plan.numerics.block_rows, plan.rows))


def resident_memory() -> int:
    """Read the resident bytes of this process now. The peak where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return peak_memory()


def peak_memory() -> int:
    """Read the peak resident bytes of this process. Elsewhere than on Linux its parent's may be counted."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB, macOS in bytes
        return peak if sys.platform == "darwin" else peak * 1024
