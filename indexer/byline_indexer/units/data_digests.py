"""Compare every later reading of a data set with the first: data that change during a build would make an index of neither.

Eight bytes of each item's digest are kept in the work directory: every worker reads the same file.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.digests import short_digest
from byline.errors import InvalidTask
from byline.index.durable import durable_file
from byline.task import Item, Task, TrainSet

Digests = NDArray[np.uint64]
_ROWS, _EVALUATION = "row-digests.npy", "evaluation-digests.npy"


@dataclass(frozen=True)
class DataDigests:
    """Short digests of the items, as they were read first."""

    rows_R: Digests
    """One for each training point."""
    evaluation_E: Digests | None = None
    """One for each item of the evaluation set. None where a build does not read it."""

    def keep(self, folder: Path) -> None:
        """Write the digests where every worker finds them."""
        for name, digests in ((_ROWS, self.rows_R), (_EVALUATION, self.evaluation_E)):
            if digests is not None:
                with durable_file(folder / name) as file:
                    np.save(file, digests, allow_pickle=False)

    @classmethod
    def kept(cls, folder: Path) -> Self | None:
        """Map the digests that `keep` wrote. None where there are none."""
        if not (folder / _ROWS).is_file():
            return None
        evaluation = folder / _EVALUATION
        return cls(
            np.load(folder / _ROWS, mmap_mode="r", allow_pickle=False),
            np.load(evaluation, mmap_mode="r", allow_pickle=False) if evaluation.is_file() else None,
        )

    def checked(self, task: Task) -> Task:
        """Return the same Task. Its items are compared with these digests whenever they are read."""
        rows = CheckedSet(task.train_set, self.rows_R, "training set")
        evaluation = task.evaluation_set
        if evaluation is not None and self.evaluation_E is not None:
            evaluation = CheckedSet(evaluation, self.evaluation_E, "evaluation set")
        return replace(task, train_set=rows, evaluation_set=evaluation)


class CheckedSet:
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
        if short_digest(item) != self._digests.item(row):
            raise _changed(f"row {row} of the {self._name}")
        return item


def _changed(what: str) -> InvalidTask:
    return InvalidTask(
        f"{what} changed during the build: expected the same content at every reading, got another than at the first. "
        f"Make it repeatable (no random crops, no order of its own, no file that is still written, no `collate` that "
        f"changes items in place), then run the same command again"
    )
