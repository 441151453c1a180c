"""The ensembles that are compared: lines of the table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.ensembles.problems import FIVE

ADAPTERS = 5


@dataclass(frozen=True)
class Row:
    """One ensemble."""

    label: str
    checkpoints: int = 1
    members: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    margin: bool | None = None
    """Only for recipes with (True) or without (False) the weight 1 - p; None for all."""


def masks(count: int) -> dict[str, Any]:
    return {"masks": count}


def pca(size: int) -> dict[str, Any]:
    return {"pca": {"size": size}}


def coordinates(size: int) -> dict[str, Any]:
    return {"projection": {"size": size}}


LORA = {"adapters": ADAPTERS}

COMMON = [
    Row("5 checkpoints", FIVE),
    Row("5 checkpoints, pca 256", FIVE, changes=pca(256)),
    Row("1 checkpoint"),
    Row("1 checkpoint, 10 forward-only masks", members={"forward_masks": 10}, margin=True),
    *(Row(f"1 checkpoint x {count} masks", members=masks(count)) for count in (2, 3, 5, 10, 20)),
    *(Row(f"1 x 10 masks, pca {size}", members=masks(10), changes=pca(size)) for size in (512, 256, 128)),
    Row("1 x 10 masks x 1,024, pca 256", members=masks(10), changes={**pca(256), **coordinates(1024)}),
    Row("1 x 20 masks, pca 256", members=masks(20), changes=pca(256)),
    Row("2 checkpoints", 2),
    Row("2 checkpoints x 5 masks", 2, members=masks(5)),
    Row("2 x 5 masks, pca 256", 2, members=masks(5), changes=pca(256)),
    Row(f"1 checkpoint x {ADAPTERS} adapters", members=LORA),
    Row(f"1 x {ADAPTERS} adapters, pca 256", members=LORA, changes=pca(256)),
]
SMOKE = ["1 checkpoint, 10 forward-only masks", "1 checkpoint x 2 masks", f"1 x {ADAPTERS} adapters, pca 256"]


def rows_of(available: int, only: Sequence[str]) -> list[Row]:
    """List the ensembles, the five checkpoints that others are held to first.

    Args:
        available: How many checkpoints there are.
        only: Parts of labels; those rows alone, and the first. Empty takes all.
    """
    rows = [row for row in COMMON if row.checkpoints <= available]
    return [rows[0], *(row for row in rows[1:] if not only or any(part in row.label for part in only))]
