"""Vectors and images: losses, targets, payloads, predictions."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from byline.errors import InvalidTask
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.network import load_network
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from byline.tasks import (
    TrainedModel,
    TrainingData,
    image_classification,
    vector_classification,
    vector_regression,
)

CLASSES = ["ant", "bee", "cat"]


def vectors(**changes):
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    data = TrainingData.from_arrays(torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]), dtype=torch.float64)
    options = {
        "name": "vectors",
        "model": lambda: model,
        "checkpoints": [Checkpoint(weights=model.state_dict())],
        "data": data,
    }
    return TrainedModel(**{**options, **changes})


def images(shape=(1, 2, 3)):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))
    data = TrainingData.from_arrays(torch.randn(4, *shape), [0, 1, 2, 1])
    return vectors(model=lambda: model, data=data)


def test_baselines_have_what_they_compare():
    for task in (
        image_classification(images(), classes=CLASSES),
        vector_classification(vectors(), classes=CLASSES),
    ):
        items = [task.train_set[i] for i in range(4)]
        inputs_ND = torch.stack([item[0] for item in items]).flatten(1)
        assert torch.equal(task.representation(task.model(), task.collate(items)), inputs_ND)
        assert [task.label(item) for item in items] == [task.describe(row).label for row in range(4)]
    regression = vector_regression(TrainedModel(**{**vars(vectors()), "data": vectors().data}))
    assert regression.representation is not None
    assert regression.label is None


class Returning(nn.Module):
    """A classifier that returns its logits as libraries do."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.layer, self.wrap = nn.Linear(4, 3), wrap

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.wrap(self.layer(inputs.flatten(1)))


class Named(NamedTuple):
    loss: None
    logits: torch.Tensor


@dataclass
class Output:
    logits: torch.Tensor
    hidden_states: None = None


RETURNED = {
    "a tensor": lambda logits: logits,
    "a mapping": lambda logits: {"logits": logits, "loss": None},
    "a named tuple": lambda logits: Named(None, logits),
    "a tuple": lambda logits: (logits, torch.zeros(1)),
    "a list": lambda logits: [logits],
    "a dataclass": Output,
}


def returning(wrap: Any, kind: str) -> Task:
    shape = (5, 1, 2, 2) if kind == "image" else (5, 4)
    data = TrainingData.from_arrays(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)), [0, 1, 2, 0, 1]
    )
    torch.manual_seed(0)
    checkpoints = [Checkpoint(weights=Returning(wrap).state_dict())]
    trained = TrainedModel(name="t", model=lambda: Returning(wrap), checkpoints=checkpoints, data=data)
    make = image_classification if kind == "image" else vector_classification
    return make(trained, classes=["a", "b", "c"])


@pytest.mark.parametrize("returned", RETURNED)
@pytest.mark.parametrize("kind", ["image", "vector"])
def test_logits_are_taken_out_of_what_a_model_returns(returned, kind):
    def everything(task):
        model = load_network(task, Member(0))
        batch = task.collate([task.train_set[row] for row in range(5)])
        predicted = task.query.predict(model, task.train_set[0])
        return task.loss(model, batch), task.targets["margin"](model, batch), predicted.output

    plain = everything(returning(RETURNED["a tensor"], kind))
    losses, margins, shown = everything(returning(RETURNED[returned], kind))
    assert torch.equal(losses, plain[0])
    assert torch.equal(margins, plain[1])
    assert shown == plain[2]
    gradients = MemberModel.load(returning(RETURNED[returned], kind), recipe("grad_dot"), Member(0))
    assert torch.equal(
        gradients.gradients([returning(RETURNED[returned], kind).train_set[0]]).objective_N, losses[:1]
    )


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: "logits", "got a str without: return the logits"),
        (lambda logits: {"scores": logits}, "got a dict without"),
        (lambda logits: (), "got a tuple without"),
        (lambda logits: (None, logits), "got a tuple without"),
        (lambda logits: logits[:, :, None], r"\[N, C\], one a class, got \[5, 3, 1\] of float32"),
        (lambda logits: (logits > 0).long(), r"got \[5, 3\] of int64"),
        (lambda logits: (logits.sum(), logits), r"got \[\] of float32"),
    ],
)
def test_outputs_without_logits_are_refused_in_one_line(wrap, message):
    task = returning(wrap, "vector")
    batch = task.collate([task.train_set[row] for row in range(5)])
    with pytest.raises(InvalidTask, match=message):
        task.loss(task.model(), batch)


def test_hugging_face_image_classifier():
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    config = transformers.ViTConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=4,
        patch_size=2,
        num_channels=1,
        num_labels=3,
    )

    def build() -> nn.Module:
        return transformers.ViTForImageClassification._from_config(config, attn_implementation="eager")

    data = TrainingData.from_arrays(torch.randn(5, 1, 4, 4), [0, 1, 2, 0, 1])
    weights = {f"module.{name}": tensor for name, tensor in build().state_dict().items()}
    trained = TrainedModel(name="vit", model=build, checkpoints=[Checkpoint(weights=weights)], data=data)
    task = image_classification(trained, classes=["a", "b", "c"])
    model = load_network(task, Member(0))
    batch = task.collate([task.train_set[row] for row in range(5)])
    expected = torch.nn.functional.cross_entropy(model(batch[0]).logits, batch[1], reduction="none")
    assert torch.equal(task.loss(model, batch), expected)


def test_a_regression_takes_the_tensor_out_as_well():
    data = TrainingData.from_arrays(torch.zeros(2, 4), [0.5, 1.0])
    model = lambda: Returning(lambda logits: {"logits": logits[:, :1]})  # noqa: E731 - as users write it
    trained = TrainedModel(
        name="t", model=model, checkpoints=[Checkpoint(weights=model().state_dict())], data=data
    )
    task = vector_regression(trained)
    assert task.loss(task.model(), task.collate([task.train_set[0]])).shape == (1,)


def regression(outputs: int, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, outputs)
    data = TrainingData.from_arrays(torch.randn(5, 4), torch.randn(5))
    return vector_regression(vectors(model=lambda: model, data=data), **options)
