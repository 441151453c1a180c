"""KNN-Shapley against the definition: marginal contributions over all subsets, with their weights."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from byline.api.example import Example
from byline.baselines import FitOptions, KnnShapley, Representation
from byline.baselines.knn_shapley import shapley_values
from byline.errors import InvalidInput, InvalidQuery, InvalidTask
from byline.task import Task
from tests.indexer import tiny_task


def worth(subset: tuple[int, ...], matches: list[bool], neighbors: int) -> float:
    """The nearest points are numbered first, so the first of a subset vote."""
    return sum(matches[i] for i in sorted(subset)[:neighbors]) / neighbors


def by_definition(matches: list[bool], neighbors: int) -> list[float]:
    n = len(matches)
    values = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        value = 0.0
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for subset in itertools.combinations(others, size):
                value += weight * (
                    worth((*subset, i), matches, neighbors) - worth(subset, matches, neighbors)
                )
        values.append(value)
    return values


@pytest.mark.parametrize("neighbors", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_values_are_shapleys(count: int, neighbors: int) -> None:
    for seed in range(4):
        matches = np.random.default_rng(seed).random(count) < 0.5
        found = shapley_values(matches, neighbors)
        np.testing.assert_allclose(found, by_definition(matches.tolist(), neighbors), atol=1e-12)
        assert (found[~matches] <= 1e-12).all(), "points with another label are never positive"
        everybody = worth(tuple(range(count)), matches.tolist(), neighbors)
        assert found.sum() == pytest.approx(everybody, abs=1e-12), "the values must add up to v(all)"


@pytest.fixture
def task() -> Task:
    whole = tiny_task.task()
    return replace(whole, train_set=[whole.train_set[row] for row in (*range(7), 2)], describe=described)


def described(row: int) -> Example:
    return tiny_task.task().describe((*range(7), 2)[row])


def test_scores_follow_the_neighbors_of_each_query(task: Task) -> None:
    queries = [tiny_task.task().train_set[row] for row in (40, 41, 42)]
    found = KnnShapley.fit(task, FitOptions(neighbors=3)).scores(queries)
    cosines = Representation.fit(task).scores(queries)
    labels = [described(row).label for row in range(8)]
    for values, cosine, (_, label) in zip(found, cosines, queries, strict=True):
        order = sorted(range(8), key=lambda row: (-cosine[row], row))
        expected = by_definition([labels[row] == str(label) for row in order], 3)
        np.testing.assert_allclose(values[order], expected, atol=1e-12)


def test_a_point_that_helps_is_positive(task: Task) -> None:
    label = str(task.train_set[0][1])
    values = KnnShapley.fit(task, FitOptions(neighbors=1)).scores([task.train_set[0]])[0]
    assert values[0] == values.max() > 0
    assert all(v <= values[0] for row, v in enumerate(values) if described(row).label == label)


def test_what_is_missing_is_said(task: Task) -> None:
    with pytest.raises(InvalidTask, match=r"expected Task\.label, which knn_shapley votes on"):
        KnnShapley.fit(replace(task, label=None))
    with pytest.raises(InvalidTask, match=r"expected Task\.representation"):
        KnnShapley.fit(replace(task, representation=None))
    with pytest.raises(InvalidTask, match=r"expected a label in every Example.*got 8 of 8 without"):
        KnnShapley.fit(replace(task, describe=lambda row: Example(id=str(row))))
    with pytest.raises(InvalidInput, match="at least 1 neighbor, got 0"):
        KnnShapley.fit(task, FitOptions(neighbors=0))
    fitted = KnnShapley.fit(replace(task, label=lambda item: "unheard of"))
    with pytest.raises(InvalidQuery, match="a label that some training point has"):
        fitted.scores([task.train_set[0]])
