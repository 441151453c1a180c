"""Losses, margins and labels of classifiers."""

import math

import pytest
import torch
from torch import nn

from byline.errors import InvalidTask
from byline.tasks import (
    vector_classification,
)
from tests.byline.tasks.test_labeled_inputs import CLASSES, vectors


def test_loss_margin_and_logit_are_those_of_the_probabilities():
    task = vector_classification(vectors(), classes=CLASSES)
    model = task.model()
    batch = task.collate([task.train_set[i] for i in range(5)])
    logits, labels = model(batch[0]), batch[1]
    p = logits.softmax(1)[torch.arange(5), labels]
    torch.testing.assert_close(task.loss(model, batch), -p.log())
    torch.testing.assert_close(task.targets["margin"](model, batch), torch.log(p / (1 - p)))
    torch.testing.assert_close(task.targets["logit"](model, batch), logits[torch.arange(5), labels])


def test_margin_keeps_its_precision_where_the_probability_rounds_to_one():
    task = vector_classification(vectors(model=nn.Identity), classes=CLASSES)
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    margin = task.targets["margin"](nn.Identity(), [logits, torch.tensor([0])])
    assert margin.item() == pytest.approx(200 - math.log(2))
    (gradient,) = torch.autograd.grad(margin.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -0.5, -0.5]]))


def test_a_label_is_a_name_or_a_position_or_predicted():
    task = vector_classification(vectors(), classes=CLASSES)
    features = [0.5, -1, 2, 0]
    by_name = task.query.parse(task.query.payload(features=features, label="bee"))
    by_position = task.query.parse(task.query.payload(features=features, label=1))
    assert by_name.complete
    assert by_name.item[1].item() == by_position.item[1].item() == 1
    assert by_name.item[0].dtype == torch.float64
    parsed = task.query.parse(task.query.payload(features=features))
    assert not parsed.complete
    first = task.query.predict(task.model(), parsed.item)
    assert first.output == task.query.predict(task.model(), parsed.item).output
    assert first.output["label"] == CLASSES[first.item[1]]
    assert sum(first.output["probabilities"].values()) == pytest.approx(1)


def test_a_model_with_other_classes_is_named():
    task = vector_classification(vectors(), classes=[*CLASSES, "dog"])
    parsed = task.query.parse(task.query.payload(features=[1, 2, 3, 4]))
    with pytest.raises(InvalidTask, match="expected 4 logits"):
        task.query.predict(task.model(), parsed.item)
