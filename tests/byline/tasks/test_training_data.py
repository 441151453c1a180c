"""Training data: ids, descriptions, and the rows that are refused."""

import numpy as np
import pytest
import torch

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.tasks import (
    TrainingData,
    image_classification,
    vector_classification,
)
from tests.byline.tasks.test_labeled_inputs import CLASSES, vectors


def test_duplicates_get_distinct_ids_and_labels_are_described():
    data = TrainingData.from_arrays(np.ones((3, 4)), [1, 1, 0])
    task = vector_classification(vectors(data=data), classes=CLASSES)
    examples = [task.describe(i) for i in range(3)]
    assert examples[1].id == examples[0].id + "~2"
    assert [e.label for e in examples] == ["bee", "bee", "ant"]


def test_the_users_examples_are_kept():
    examples = [Example(id="a", owner="Ann"), Example(id="b", label="mine")]
    data = TrainingData.from_arrays(np.ones((2, 4)), [1, 0], examples)
    task = vector_classification(vectors(data=data), classes=CLASSES)
    assert task.describe(0) == Example(id="a", owner="Ann", label="bee")
    assert task.describe(1).label == "mine"


def test_examples_that_do_not_fit_are_refused():
    with pytest.raises(InvalidTask, match="2 items, got 1"):
        TrainingData.from_arrays(np.ones((2, 4)), [1, 0], [Example(id="a")])
    with pytest.raises(InvalidTask, match="2 different ids, got 1"):
        TrainingData.from_arrays(np.ones((2, 4)), [1, 0], [Example(id="a"), Example(id="a")])


def test_data_that_cannot_be_trained_on_is_refused():
    with pytest.raises(InvalidTask, match="finite"):
        TrainingData.from_arrays(np.array([[np.nan]]), [0])
    with pytest.raises(InvalidTask, match=r"\[3, 1\] and \[2\]"):
        TrainingData.from_arrays(np.ones((3, 1)), [0, 1])
    with pytest.raises(InvalidTask, match="at least one"):
        TrainingData([])
    with pytest.raises(InvalidTask, match="pairs"):
        vector_classification(vectors(data=TrainingData([torch.ones(3)])), classes=CLASSES)
    with pytest.raises(InvalidTask, match=r"\[C, H, W\]"):
        image_classification(vectors(), classes=CLASSES)
    with pytest.raises(InvalidTask, match="two different"):
        vector_classification(vectors(), classes=["one"])


def test_a_row_that_is_not_finite_and_ids_that_repeat_are_named():
    inputs = torch.zeros(3, 4)
    inputs[1, 2] = torch.inf
    with pytest.raises(InvalidTask, match=r"in the inputs of 1 rows, the first 1: "):
        TrainingData.from_arrays(inputs, [0, 1, 0])
    with pytest.raises(InvalidTask, match=r"in the labels of 1 rows, the first 2: "):
        TrainingData.from_arrays(torch.zeros(3, 4), [0.0, 1.0, torch.nan])
    examples = [Example(id=each) for each in ("a", "b", "a")]
    with pytest.raises(InvalidTask, match=r"3 different ids, got 2: those at positions 0 and 2 are the same"):
        TrainingData.from_arrays(torch.zeros(3, 4), [0, 1, 0], examples)
