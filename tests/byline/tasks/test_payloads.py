"""Payloads of vectors and images: accepted, described or refused with shapes."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from byline.errors import InvalidQuery
from byline.tasks import (
    image_classification,
    vector_classification,
    vector_regression,
)
from tests.byline.tasks.test_labeled_inputs import CLASSES, images, vectors


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
