"""Vectors and images: losses, targets, payloads, predictions."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from byline.api.example import Example
from byline.errors import InvalidQuery, InvalidTask
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


def test_loss_margin_and_logit_are_those_of_the_probabilities():
    task = vector_classification(vectors(), classes=CLASSES)
    model = task.model()
    batch = task.collate([task.train_set[i] for i in range(5)])
    logits, labels = model(batch[0]), batch[1]
    p = logits.softmax(1)[torch.arange(5), labels]
    torch.testing.assert_close(task.loss(model, batch), -p.log())
    torch.testing.assert_close(task.targets["margin"](model, batch), torch.log(p / (1 - p)))
    torch.testing.assert_close(task.targets["logit"](model, batch), logits[torch.arange(5), labels])


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


@pytest.mark.parametrize(
    "payload",
    [
        {"features": [1, 2, 3, float("nan")]},
        {"features": [1, 2, 3, float("inf")]},
        {"features": [1, 2, 3, "4"]},
        {"features": [1, 2, 3, True]},
        {"features": [1, 2, 3, 4, 5]},
        {"features": [1, 2, 3, 10**400]},
        {"features": "1234"},
        {"features": [1, 2, 3, 4], "label": 1.5},
        {"features": [1, 2, 3, 4], "label": -1},
        {"features": [1, 2, 3, 4], "more": 1},
        {},
    ],
)
def test_bad_payloads_are_refused(payload):
    task = vector_classification(vectors(), classes=CLASSES)
    with pytest.raises(ValidationError):
        task.query.payload(**payload)


def test_what_types_cannot_say_is_refused_with_shapes():
    task = vector_classification(vectors(), classes=CLASSES)
    with pytest.raises(InvalidQuery, match=r"shape \[4\], got \[3\]"):
        task.query.parse(task.query.payload(features=[1, 2, 3]))
    with pytest.raises(InvalidQuery, match="3 classes"):
        task.query.parse(task.query.payload(features=[1, 2, 3, 4], label="dog"))
    with pytest.raises(InvalidQuery, match="3 classes"):
        task.query.parse(task.query.payload(features=[1, 2, 3, 4], label=3))


def test_numbers_that_overflow_the_inputs_type_are_refused():
    task = image_classification(images(), classes=CLASSES)
    with pytest.raises(InvalidQuery, match="float32"):
        task.query.parse(task.query.payload(image=[1, 2, 3, 4, 5, 1e300]))


@pytest.mark.parametrize("pixels", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]], [[[1, 2, 3], [4, 5, 6]]]])
def test_pixels_come_flat_or_nested(pixels):
    task = image_classification(images(), classes=CLASSES)
    item = task.query.parse(task.query.payload(image=pixels)).item
    torch.testing.assert_close(item[0], torch.arange(1.0, 7.0).reshape(1, 2, 3))
    assert task.query.predict(task.model(), item).output["label"] in CLASSES


@pytest.mark.parametrize("pixels", [[[1, 2, 3], [4, 5]], [[1, 2], [3, 4], [5, 6]], [[[1, 2, 3]]], [1]])
def test_pixels_of_another_shape_are_refused(pixels):
    task = image_classification(images(), classes=CLASSES)
    with pytest.raises((InvalidQuery, ValidationError)):
        task.query.parse(task.query.payload(image=pixels))


def test_payloads_describe_themselves():
    schema = image_classification(images((3, 8, 8)), classes=CLASSES).query.payload.model_json_schema()
    assert "[3, 8, 8]" in schema["properties"]["image"]["description"]
    assert schema["additionalProperties"] is False


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


def test_a_model_with_other_classes_is_named():
    task = vector_classification(vectors(), classes=[*CLASSES, "dog"])
    parsed = task.query.parse(task.query.payload(features=[1, 2, 3, 4]))
    with pytest.raises(InvalidTask, match="expected 4 logits"):
        task.query.predict(task.model(), parsed.item)


def regression(outputs: int, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, outputs)
    data = TrainingData.from_arrays(torch.randn(5, 4), torch.randn(5))
    return vector_regression(vectors(model=lambda: model, data=data), **options)


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


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (vector_classification(vectors(), classes=CLASSES), "features"),
        (vector_regression(vectors(model=lambda: nn.Linear(4, 1))), "features"),
        (image_classification(images(), classes=CLASSES), "image"),
    ],
)
def test_the_schema_shows_the_first_training_input(task, field):
    shown = task.query.payload.model_json_schema()["properties"][field]["examples"][0]
    parsed = task.query.parse(task.query.payload(**{field: shown}))
    assert not parsed.complete
    torch.testing.assert_close(parsed.item[0], task.train_set[0][0], rtol=1e-3, atol=0)


def test_the_schema_shows_no_huge_input():
    task = image_classification(images((3, 40, 40)), classes=CLASSES)
    assert "examples" not in task.query.payload.model_json_schema()["properties"]["image"]
