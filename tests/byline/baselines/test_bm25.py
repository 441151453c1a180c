"""BM25 against its formula, written out word by word."""

import math
import re
import sys

import numpy as np
import pytest

from byline.baselines import Bm25, FitOptions
from byline.errors import InvalidInput, InvalidTask
from tests.byline.baselines.texts import text_task

TEXTS = [
    "The cat sat on the mat",
    "the dog, the DOG and the cat",
    "",
    "über_cat 42 is no cat",
    "completely different words here",
    "The cat sat on the mat",
]
QUERIES = ["a cat and a dog", "the the cat", "nothing known", "", "42 ÜBER_CAT"]


def by_formula(query: str, texts: list[str]) -> list[float]:
    documents = [re.findall(r"\w+", text.lower()) for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in re.findall(r"\w+", query.lower()):
            containing = sum(word in other for other in documents)
            if not containing:
                continue
            idf = math.log(1 + (len(documents) - containing + 0.5) / (containing + 0.5))
            f = document.count(word)
            score += idf * f / (f + 1.5 * (1 - 0.75 + 0.75 * len(document) / mean))
        scores.append(score)
    return scores


def test_scores_are_the_formula() -> None:
    found = Bm25.fit(text_task(TEXTS), FitOptions(batch_rows=4)).scores(QUERIES)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [by_formula(query, TEXTS) for query in QUERIES], rtol=1e-12)
    assert (found[:, 0] == found[:, 5]).all(), "equal texts must score the same bits"
    assert not found[2:4].any()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidTask, match=r"expected Task\.text, which BM25 compares, got None"):
        Bm25.fit(text_task(TEXTS, text=None))
    with pytest.raises(InvalidTask, match="expected texts with words, got none in 2"):
        Bm25.fit(text_task(["", "..."]))
    with pytest.raises(InvalidTask, match=r"expected Task\.text to return a str, got a int"):
        Bm25.fit(text_task(TEXTS, text=len))
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(InvalidInput, match=r"pip install 'byline\[bm25\]'"):
        Bm25.fit(text_task(TEXTS))
