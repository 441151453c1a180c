"""The ensembles that are compared: lines of the table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.tasks.ensembles import FIVE

ADAPTERS = 5


@dataclass(frozen=True)
class Row:
    """One ensemble."""

    label: str
    checkpoints: int = 1
    members: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    margin: bool | None = None
    """Restrict the row to recipes with (True) or without (False) the weight 1 - p; None takes all."""

    @property
    def masks_asked(self) -> int:
        """Number of masks under which a query is differentiated; 1 without masks."""
        return 1 if self.members.get("queries") == "whole" else max(1, self.members.get("masks", 0))


def masks(count: int, rate: float | None = None, *, whole: bool = False) -> dict[str, Any]:
    chosen: dict[str, Any] = {"masks": count, "mask_rate": rate}
    return {**chosen, "queries": "whole"} if whole else chosen


def pca(size: int) -> dict[str, Any]:
    return {"pca": {"size": size}}


LORA = {"adapters": ADAPTERS}

COMMON = [
    Row("5 checkpoints", FIVE),
    Row("1 checkpoint"),
    Row("1 checkpoint, 10 forward-only masks", members={"forward_masks": 10}, margin=True),
    *(Row(f"1 x {n} masks", members=masks(n)) for n in (5, 10)),
    *(Row(f"1 x {n} masks at .3", members=masks(n, 0.3)) for n in (5, 10)),
    *(Row(f"1 x {n} masks at .5, whole queries", members=masks(n, 0.5, whole=True)) for n in (3, 5, 10)),
    Row("1 x 10 masks at .3, pca 224", members=masks(10, 0.3), changes=pca(224)),
    *(
        Row(
            f"1 x {n} masks at .5, whole queries, pca 256",
            members=masks(n, 0.5, whole=True),
            changes=pca(256),
        )
        for n in (3, 5)
    ),
    *(
        Row(
            f"1 x 5 masks x {size:,} at .5, whole queries, pca 256",
            members=masks(5, 0.5, whole=True),
            changes={**pca(256), "projection": {"size": size}},
        )
        for size in (512, 1024)
    ),
    Row(f"1 x {ADAPTERS} adapters", members=LORA),
    Row(f"1 x {ADAPTERS} adapters, pca 224", members=LORA, changes=pca(224)),
    Row("2 checkpoints", 2),
    Row("2 x 5 masks at .3", 2, members=masks(5, 0.3)),
    Row("5 checkpoints, pca 224", FIVE, changes=pca(224)),
]
RATES = [
    COMMON[0],
    *(
        Row(f"1 x 10 masks at {rate}{', whole queries' * whole}", members=masks(10, rate, whole=whole))
        for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
        for whole in (False, True)
    ),
]
"""Rows by which the rate was chosen."""
SMOKE = ["0.3, whole queries", "forward-only", "1 x 5 masks at .5, whole queries, pca", "adapters, pca"]


def rows_of(kinds: Sequence[Row], available: int, only: Sequence[str]) -> list[Row]:
    """List the ensembles, the five checkpoints that are the baseline first.

    Args:
        kinds: `COMMON` or `RATES`.
        available: How many checkpoints there are.
        only: Parts of labels; those rows alone, and the first. Empty takes all.
    """
    rows = [row for row in kinds if row.checkpoints <= available]
    return [rows[0], *(row for row in rows[1:] if not only or any(part in row.label for part in only))]
