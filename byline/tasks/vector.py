"""Declare Tasks of arrays: classifiers of images, classifiers and regressions of vectors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from byline.errors import InvalidTask
from byline.models.training_points import read_items
from byline.task import (
    Batch,
    Item,
    Objective,
    Outputs,
    ParsedQuery,
    Patches,
    Prediction,
    QueryInterface,
    Task,
)
from byline.tasks.classification import device_of, tensor_of
from byline.tasks.labeled_inputs import TrainedModel, classifier_task, last_layer_input
from byline.tasks.payloads import FiniteNumber, as_input, image_payload, vector_payload

GRID = 8
"""Rows and columns of patches that scores of images are told by."""
Noise = Literal["constant", "predicted"]
_Value = Annotated[
    FiniteNumber | None,
    Field(description="The true value; left out, the model's own prediction is taken."),
]


def image_classification(trained: TrainedModel, *, classes: Sequence[str]) -> Task:
    """Declare an image classifier.

    Queries are `{"image": pixels, "label": optional}`, the pixels in the units of the training data
    (that is: after its own scaling), as nested lists or one flat list.

    Args:
        trained: The model and its training data: images [C, H, W] or [H, W].
        classes: Names in the order of the logits.

    Returns:
        The task, with the targets `margin` (log p/(1-p) of the label) and `logit` (the label's).

    Raises:
        InvalidTask: The data or the class names do not fit.
    """
    first = trained.data.input
    if first.ndim not in {2, 3}:
        raise InvalidTask(f"expected images of shape [C, H, W] or [H, W], got {list(first.shape)}")
    height, width = first.shape[-2:]
    grid = Patches(height=height, width=width, rows=min(GRID, height), columns=min(GRID, width))
    return replace(classifier_task(trained, classes, "image", image_payload(first)), patches=grid)


def vector_classification(trained: TrainedModel, *, classes: Sequence[str]) -> Task:
    """Declare a classifier of vectors.

    Queries are `{"features": [...], "label": optional}`.

    Args:
        trained: The model and its training data: vectors of one length.
        classes: Names in the order of the logits.

    Returns:
        The task, with the targets `margin` (log p/(1-p) of the label) and `logit` (the label's).

    Raises:
        InvalidTask: The data or the class names do not fit.
    """
    return classifier_task(trained, classes, "features", vector_payload(_vector(trained)))


def vector_regression(trained: TrainedModel, *, noise: Noise = "constant") -> Task:
    """Declare a regression of one number on vectors.

    Queries are `{"features": [...], "label": optional number}`. A query without a number takes the
    model's own prediction, whose squared error is flat, and is attributed by the target `prediction`
    unless it names another.

    Args:
        trained: The model, whose output is [N] or [N, 1] (`constant`) or [N, 2] (`predicted`), and
            its training data: vectors of one length, with numbers as labels, [N] or [N, 1].
        noise: `constant`: squared error, as `torch.nn.MSELoss`. `predicted`: the model's second
            output is the log of the variance, and the loss is the Gaussian negative log-likelihood,
            as `torch.nn.GaussianNLLLoss` (without its constant).

    Returns:
        The task, with the target `prediction` (the model's number).

    Raises:
        InvalidTask: The data do not fit.
    """
    like, data = trained.data.input, trained.data
    payload = vector_payload(_vector(trained), _Value)
    _require_number(trained)

    def parse(query: Any) -> ParsedQuery:
        values = as_input(query.features, like, "features")
        missing = query.label is None
        label = as_input(0.0 if missing else query.label, like.new_zeros(()), "label")
        return ParsedQuery(item=(values, label), complete=not missing)

    def predict(model: nn.Module, item: Item) -> Prediction:
        with torch.no_grad():
            value = _outputs(model, item[0][None].to(device_of(model)), noise)[0][0].cpu()
        return Prediction(item=(item[0], value.to(like.dtype)), output={"value": float(value)})

    return Task(
        name=trained.name,
        model=trained.model,
        checkpoints=trained.checkpoints,
        train_set=data.items,
        describe=data.describer(lambda row: f"{float(data.items[row][1]):.6g}"),
        loss=_regression_loss(noise),
        targets={"prediction": lambda model, batch: _outputs(model, batch[0], noise)[0]},
        layers=trained.layers,
        query=QueryInterface(payload=payload, parse=parse, predict=predict, predicted_target="prediction"),
        outputs=SQUARED_ERROR if noise == "constant" else None,
        representation=last_layer_input,
    )


SQUARED_ERROR = Outputs(
    compute=lambda model, batch: _outputs(model, batch[0], "constant")[0],
    loss=lambda means_N, batch: F.mse_loss(means_N, _numbers(batch, means_N), reduction="none"),
    relabel=lambda batch, labels: (batch[0], labels),
    kind="gaussian",
)
"""Predictive distribution of a regression with constant noise: its mean. Squared error is the negative
log-likelihood of a variance of one half."""


def _regression_loss(noise: Noise) -> Objective:
    def loss(model: nn.Module, batch: Batch) -> Tensor:
        mean_N, log_variance_N = _outputs(model, batch[0], noise)
        error_N = F.mse_loss(mean_N, _numbers(batch, mean_N), reduction="none")
        if log_variance_N is None:
            return error_N
        return 0.5 * (log_variance_N + error_N * torch.exp(-log_variance_N))

    return loss


def _numbers(batch: Batch, means_N: Tensor) -> Tensor:
    """Take the labels [N] or [N, 1] of a batch as labels_N: another shape would be compared with every prediction."""
    labels: Tensor = batch[1]
    if labels.shape not in {means_N.shape, (len(means_N), 1)}:
        raise InvalidTask(
            f"expected one number a label, {list(means_N.shape)} or {[len(means_N), 1]} for a batch, got "
            f"{list(labels.shape)}: the model predicts one number"
        )
    return labels.reshape(means_N.shape).to(means_N.dtype)


def _require_number(trained: TrainedModel) -> None:
    """Refuse labels of several numbers where the Task is declared."""
    label = read_items(trained.data.items, [0])[0][1]
    if isinstance(label, Tensor) and label.shape not in {(), (1,)}:
        raise InvalidTask(
            f"expected labels of one number each, [N] or [N, 1], as the model predicts one number, got "
            f"{list(label.shape)} in the first item: give each point one number, or the model as many outputs"
        )


def _outputs(model: nn.Module, inputs_ND: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
    """Run the model: predictions_N, and log variances_N where it predicts them."""
    output = tensor_of(model(inputs_ND))
    if noise == "predicted" and output.shape == (len(inputs_ND), 2):
        return output[:, 0], output[:, 1]
    if noise == "constant" and output.numel() == len(inputs_ND):
        return output.reshape(len(inputs_ND)), None
    expected = "[N] or [N, 1]" if noise == "constant" else "[N, 2]: mean and log variance"
    raise InvalidTask(f"expected a model whose output is {expected}, got {list(output.shape)}")


def _vector(trained: TrainedModel) -> Tensor:
    """The first training vector: gives the length, and people an example."""
    first = trained.data.input
    if first.ndim != 1:
        raise InvalidTask(f"expected vectors of shape [D], got {list(first.shape)}")
    return first
