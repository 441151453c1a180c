"""Holds every later reading of a data set to the first: an index of data that change on the way would be of neither.

Eight bytes of each item's digest are kept, and as many of its metadata's, in the work directory: every worker reads the
same file.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.api.example import Example
from byline.digests import content_digest
from byline.errors import InvalidTask
from byline.index.durable import durable_file
from byline.task import Item, Task, TrainSet

Digests = NDArray[np.uint64]
_ROWS, _EVALUATION = "readings.npy", "evaluation-readings.npy"


@dataclass(frozen=True)
class Readings:
    """What was read first."""

    rows_R2: Digests
    """Of every training point: its item, its metadata."""
    evaluation_E: Digests | None = None
    """Of the evaluation set's items, where they are read."""

    def keep(self, folder: Path) -> None:
        """Write them where workers find them."""
        for name, digests in ((_ROWS, self.rows_R2), (_EVALUATION, self.evaluation_E)):
            if digests is not None:
                with durable_file(folder / name) as file:
                    np.save(file, digests, allow_pickle=False)

    @classmethod
    def kept(cls, folder: Path) -> Self | None:
        """Map what was kept; None where nothing was."""
        if not (folder / _ROWS).is_file():
            return None
        evaluation = folder / _EVALUATION
        return cls(
            np.load(folder / _ROWS, mmap_mode="r", allow_pickle=False),
            np.load(evaluation, mmap_mode="r", allow_pickle=False) if evaluation.is_file() else None,
        )

    def held(self, task: Task) -> Task:
        """The same Task; its items and metadata are compared whenever they are read."""
        rows = HeldSet(task.train_set, self.rows_R2[:, 0], "training set")
        described = _checked_metadata(task.describe, self.rows_R2[:, 1])
        evaluation = task.evaluation_set
        if evaluation is not None and self.evaluation_E is not None:
            evaluation = HeldSet(evaluation, self.evaluation_E, "evaluation set")
        return replace(task, train_set=rows, describe=described, evaluation_set=evaluation)


class HeldSet:
    """A data set whose items are the same at every reading, or an error.

    Args:
        items: The data set.
        digests: Of its items, as they were read first.
        name: For people.
    """

    def __init__(self, items: TrainSet, digests: Digests, name: str) -> None:
        self._items, self._digests, self._name = items, digests, name

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, row: int, /) -> Item:
        """Read an item.

        Raises:
            InvalidTask: It is another than at first.
        """
        item = self._items[row]
        if short(content_digest(item)) != self._digests.item(row):
            raise _changed(f"row {row} of the {self._name}")
        return item


def short(digest: bytes) -> int:
    """The part of a digest that is kept."""
    return int.from_bytes(digest[:8], "little")


def metadata_digest(example: Example) -> bytes:
    """Digest of an example's metadata."""
    return content_digest(example.model_dump_json())


def _checked_metadata(describe: Callable[[int], Example], digests: Digests) -> Callable[[int], Example]:
    def described(row: int) -> Example:
        example = describe(row)
        if short(metadata_digest(example)) != digests.item(row):
            raise _changed(f"Task.describe({row})")
        return example

    return described


def _changed(what: str) -> InvalidTask:
    return InvalidTask(
        f"{what} changed during the build: expected the same content at every reading, got another than at the first. "
        f"Make it repeatable (no random crops, no order of its own, no file that is still written, no `collate` that "
        f"changes items in place), then run the same command again"
    )
