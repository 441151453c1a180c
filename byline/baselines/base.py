"""The interface of baselines: scores of every training point for a query, from similarity alone.

Letters: Q queries, R training points.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from byline.models.device import CPU
from byline.models.training_points import NamedItems, read_items
from byline.task import Item, Task


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of a baseline's fit."""

    model: nn.Module | None = None
    """Model that represents items, in evaluation mode on `device`. None loads the Task's first checkpoint."""
    device: torch.device = CPU
    """Device that represents items."""
    batch_rows: int = 64
    """Training points of one forward pass. More is faster until memory runs out."""
    neighbors: int = 5
    """K of `knn_shapley`: how many nearest points vote on a query's label."""
    on_done: Callable[[int, int], None] = lambda _done, _all: None
    """Called with the number of training points read so far, and the number of all."""


DEFAULT = FitOptions()


class FittedBaseline(Protocol):
    """Fitted once on a training set, then scores any query."""

    @classmethod
    def require(cls, task: Task) -> None:
        """Require that a Task declares the functions that this baseline compares by.

        Raises:
            InvalidTask: It does not.
            InvalidInput: A package is not installed.
        """
        ...

    @classmethod
    def fit(cls, task: Task, fitting: FitOptions = DEFAULT) -> Self:
        """Read the training set once.

        Raises:
            InvalidTask: The Task or its data does not fit.
        """
        ...

    def scores(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Score every training point.

        Args:
            items: Q complete items of the data set's kind.

        Returns:
            float64 [Q, R].
        """
        ...


def batches(task: Task, fitting: FitOptions) -> Iterator[NamedItems]:
    """Read the training set in order.

    Yields:
        Items, at most `batch_rows` of them.
    """
    rows = len(task.train_set)
    for start in range(0, rows, fitting.batch_rows):
        stop = min(start + fitting.batch_rows, rows)
        yield read_items(task.train_set, range(start, stop))
        fitting.on_done(stop, rows)
