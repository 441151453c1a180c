"""Costs of an index and its queries, and the budget that they must stay within."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from byline.index.layout import SEARCH, StorageOptions

ROW_FOLDERS = ("vectors", "columns")
"""Folders of an index whose files grow with its rows, beside the search file."""


@dataclass(frozen=True)
class Cost:
    """What a setting costs, measured on this machine."""

    row_bytes: float
    """Bytes of the stored vectors, the search file and the columns, for each row."""
    total_bytes: int
    """Bytes of all files of the index."""
    milliseconds: float
    """Median time of one query: its features and its search."""


class Budget(BaseModel):
    """The most that a setting may cost. None sets no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_bytes: int | None = Field(default=None, ge=1)
    """Bytes for each row."""
    total_bytes: int | None = Field(default=None, ge=1)
    """Bytes of the whole index."""
    milliseconds: float | None = Field(default=None, gt=0)
    """Median milliseconds of a query."""

    def allows(self, cost: Cost) -> bool:
        """Tell whether a cost is within every limit."""
        pairs = (
            (cost.row_bytes, self.row_bytes),
            (cost.total_bytes, self.total_bytes),
            (cost.milliseconds, self.milliseconds),
        )
        return all(most is None or spent <= most for spent, most in pairs)

    def numbers(self, storage: StorageOptions) -> int | None:
        """Compute how many numbers a row may have: about so many, as the cost is measured after the build."""
        if self.row_bytes is None:
            return None
        size = storage.stored_type.itemsize
        copies = 2 * size if storage.search == "exact" and storage.keep == "rows" else size
        return max(1, (self.row_bytes - _COLUMN_BYTES) // copies)


_COLUMN_BYTES = 24
"""Self-influence, row weight, and a share of the files' headers."""


def disk_bytes(index: Path, rows: int) -> tuple[float, int]:
    """Measure a version's directory.

    Args:
        index: The version.
        rows: Its rows.

    Returns:
        Bytes for each row, and bytes of all files.
    """
    sizes = {path.relative_to(index): path.stat().st_size for path in index.rglob("*") if path.is_file()}
    grows = sum(size for path, size in sizes.items() if path.parts[0] in ROW_FOLDERS or str(path) == SEARCH)
    return grows / rows, sum(sizes.values())


def pareto(costs: Sequence[Cost], values: Sequence[float]) -> list[bool]:
    """Mark settings that no other one beats: at least as good and as cheap in bytes and time, and better in one of them.

    Args:
        costs: One for each setting.
        values: Its LDS.

    Returns:
        One mark for each setting.
    """
    points = [(-value, cost.row_bytes, cost.milliseconds) for cost, value in zip(costs, values, strict=True)]
    return [not any(_beats(other, point) for other in points) for point in points]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
