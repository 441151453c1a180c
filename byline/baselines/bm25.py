"""BM25: training points that share rare words with a query come first.

Lucene's form of Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", as `bm25s` computes it:

    score(q, d) = sum over words t of q of  ln(1 + (R - n_t + 1/2) / (n_t + 1/2)) f / (f + k1 (1 - b + b |d| / mean |d|))

with f how often t occurs in d, n_t the number of training points with t, |d| the number of words of d, k1 = 1.5 and
b = 0.75. A word that a query says twice counts twice. Words are runs of letters, digits and underscores, in lower
case. No stop words are left out, as they weigh next to nothing anyway.
"""

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from byline.baselines.base import DEFAULT, FitOptions, batches
from byline.errors import InvalidInput, InvalidTask
from byline.models.training_points import faulty_item_named, item_text
from byline.task import Item, Task

K1 = 1.5
"""Saturation of repeated words: with a small value, repetitions soon add nothing."""
B = 0.75
"""Length normalization: 0 ignores the length of a training point, 1 divides by it."""
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Cut a text into words."""
    return _WORD.findall(text.lower())


class Bm25:
    """Ranks training points by the words that they share with a query."""

    def __init__(self, retriever: Any, vocabulary: dict[str, int], task: Task) -> None:
        self._retriever, self._vocabulary, self._task = retriever, vocabulary, task

    @classmethod
    def require(cls, task: Task) -> None:
        """Require that items have a text.

        Raises:
            InvalidTask: `Task.text` is not declared.
            InvalidInput: `bm25s` is not installed.
        """
        if task.text is None:
            raise InvalidTask(
                "expected Task.text, which BM25 compares, got None: declare what an item says, `item -> str`"
            )
        _library()

    @classmethod
    def fit(cls, task: Task, fitting: FitOptions = DEFAULT) -> Self:
        """Count the words of the training set.

        Args:
            task: With `text`.
            fitting: Its model is not used.

        Returns:
            BM25 of this training set. Memory grows with its number of words.

        Raises:
            InvalidTask: `Task.text` is not declared, or no training point has a word.
        """
        cls.require(task)
        vocabulary: dict[str, int] = {}
        ids = []
        for part in batches(task, fitting):
            with faulty_item_named(part, lambda item: item_text(task, item)):
                texts = [item_text(task, item) for item in part]
            ids += [[vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in texts]
        if not vocabulary:
            raise InvalidTask(f"expected texts with words, got none in {len(ids)} training points")
        retriever = _library().BM25(k1=K1, b=B, method="lucene", dtype="float64", backend="numpy")
        retriever.index((ids, vocabulary), create_empty_token=False, show_progress=False)
        return cls(retriever, vocabulary, task)

    def scores(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Score every training point.

        Args:
            items: Q items. Words that no training point has count for nothing.

        Returns:
            float64 [Q, R], none negative.
        """
        return np.stack([self._scores(item_text(self._task, item)) for item in items])

    def _scores(self, text: str) -> NDArray[np.float64]:
        known = [self._vocabulary[word] for word in words(text) if word in self._vocabulary]
        return np.asarray(self._retriever.get_scores_from_ids(known), dtype=np.float64)


def _library() -> ModuleType:
    try:
        import bm25s as library
    except ImportError as error:
        raise InvalidInput("the baseline bm25 needs bm25s: pip install 'byline[bm25]'") from error
    module: ModuleType = library
    return module
