"""Regression on vectors: losses and predictions."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from byline.errors import InvalidTask
from tests.byline.tasks.test_labeled_inputs import regression


def test_squared_error_and_prediction():
    task = regression(1)
    model, batch = task.model(), task.collate([task.train_set[i] for i in range(5)])
    mean = model(batch[0])[:, 0]
    torch.testing.assert_close(task.loss(model, batch), (mean - batch[1]) ** 2)
    torch.testing.assert_close(task.targets["prediction"](model, batch), mean)


def test_gaussian_negative_log_likelihood():
    task = regression(2, noise="predicted")
    model, batch = task.model(), task.collate([task.train_set[i] for i in range(5)])
    mean, log_variance = model(batch[0]).unbind(1)
    expected = nn.GaussianNLLLoss(reduction="none")(mean, batch[1], log_variance.exp())
    torch.testing.assert_close(task.loss(model, batch), expected)


def test_a_regression_query_takes_the_models_number_where_it_has_none():
    task = regression(1)
    parsed = task.query.parse(task.query.payload(features=[1, 2, 3, 4]))
    assert not parsed.complete
    predicted = task.query.predict(task.model(), parsed.item)
    assert predicted.item[1].item() == predicted.output["value"]
    assert task.query.parse(task.query.payload(features=[1, 2, 3, 4], label=2.5)).item[1] == 2.5
    with pytest.raises(ValidationError):
        task.query.payload(features=[1, 2, 3, 4], label=float("nan"))


def test_a_model_with_other_outputs_is_refused():
    task = regression(2)
    with pytest.raises(InvalidTask, match=r"\[N, 1\], got \[5, 2\]"):
        task.loss(task.model(), task.collate([task.train_set[i] for i in range(5)]))
