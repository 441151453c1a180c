"""Cosine similarity of representations: training points that the model sees as it sees the query come first.

    score(q, d) = h_q . h_d / (|h_q| |h_d|)

with h = `Task.representation`, usually the input of the last layer. 0 where one of them is zero.

Letters: Q queries, R training points, D numbers of a representation.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.baselines.base import DEFAULT, FitOptions, batches
from byline.errors import InvalidQuery
from byline.members import Member
from byline.models.network import load_network
from byline.models.representations import Representations, require_representation
from byline.models.training_points import refuse_non_finite_rows
from byline.search.scores import part_scores
from byline.task import Item, Task

_BLOCK_NUMBERS = 1 << 21
"""Numbers that are multiplied at once: 16 MB."""


class Representation:
    """Ranks training points by the cosine of their representations with a query's."""

    def __init__(self, units_RD: NDArray[np.float32], representations: Representations) -> None:
        self._units_RD, self._representations = units_RD, representations

    @classmethod
    def require(cls, task: Task) -> None:
        """Require that items have a representation.

        Raises:
            InvalidTask: `Task.representation` is not declared.
        """
        require_representation(task, "this baseline")

    @classmethod
    def fit(cls, task: Task, fitting: FitOptions = DEFAULT) -> Self:
        """Run the model over the training set once.

        Args:
            task: With `representation`.
            fitting: Model and batches.

        Returns:
            Directions of all training points, float32: 4 R D bytes.

        Raises:
            InvalidTask: `Task.representation` is not declared, or one is NaN or infinite.
        """
        cls.require(task)
        model = load_network(task, Member(0), fitting.device) if fitting.model is None else fitting.model
        represented = Representations(task, model, purpose="this baseline", device=fitting.device)
        units_RD: NDArray[np.float32] | None = None
        done = 0
        for items in batches(task, fitting):
            found_ND = represented.of(items)
            refuse_non_finite_rows(found_ND, items, "a representation")
            part_ND = found_ND.numpy().astype(np.float64)
            if units_RD is None:
                units_RD = np.empty((len(task.train_set), part_ND.shape[1]), dtype=np.float32)
            units_RD[done : done + len(items)] = directions(part_ND)
            done += len(items)
        assert units_RD is not None
        return cls(units_RD, represented)

    def scores(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Score every training point.

        Args:
            items: Q complete items.

        Returns:
            Cosines, float64 [Q, R]: those of equal training points are equal bit by bit.

        Raises:
            InvalidQuery: A representation is NaN or infinite.
        """
        query_QD = self._representations.of(items).numpy().astype(np.float64)
        if not np.isfinite(query_QD).all():
            raise InvalidQuery("the query's representation is NaN or infinite: look at the query")
        units_QD = directions(query_QD)
        step = max(1, _BLOCK_NUMBERS // self._units_RD.shape[1])
        parts = [
            part_scores(units_QD, self._units_RD[start : start + step])
            for start in range(0, len(self._units_RD), step)
        ]
        return np.concatenate(parts).T


def directions(vectors_ND: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each vector by its length. Zero stays zero: float64 [N, D]."""
    lengths_N = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    units_ND = np.zeros_like(vectors_ND)
    np.divide(vectors_ND, lengths_N, out=units_ND, where=lengths_N > 0)
    return units_ND
