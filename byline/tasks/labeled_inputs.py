"""Tasks with (input, label) items: the model maps inputs to logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from byline.gradients.capture.hooks import last_input
from byline.task import Batch, Checkpoint, Item, LayerSelection, ParsedQuery, Prediction, QueryInterface, Task
from byline.tasks.classification import (
    categorical_outputs,
    class_name,
    device_of,
    logits_of,
    most_probable,
    objectives,
    require_class_positions,
    require_classes,
)
from byline.tasks.payloads import as_input, class_position
from byline.tasks.training_data import TrainingData

EVERY_LAYER = LayerSelection()


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model and what it was trained on: the same five things for every kind of input."""

    name: str
    """Name of the Task, for people and for the default index name."""
    model: Callable[[], nn.Module]
    """Builds the model with any weights. It is called with a batch of inputs."""
    checkpoints: Sequence[Checkpoint]
    """Its trained weights. Several make an ensemble."""
    data: TrainingData
    """Training data."""
    layers: LayerSelection = EVERY_LAYER
    """Attributed modules."""


def classifier_task(
    trained: TrainedModel, classes: Sequence[str], field: str, payload: type[BaseModel]
) -> Task:
    """Declare a classifier of tensors.

    Args:
        trained: The model and its training data.
        classes: Names in the order of the logits.
        field: Name of the payload's field that holds the input.
        payload: Model of a query; has `field` and `label`.

    Returns:
        The task, with the targets `margin` and `logit`.

    Raises:
        InvalidTask: The data or the class names do not fit.
    """
    require_classes(classes)
    like = trained.data.input
    require_class_positions(trained.data.items, len(classes))
    loss, targets = objectives(_logits, _labels)

    def parse(query: Any) -> ParsedQuery:
        values = as_input(getattr(query, field), like, field, flat=field == "image")
        if query.label is None:
            return ParsedQuery(item=(values, torch.tensor(-1)), complete=False)
        return ParsedQuery(item=(values, torch.tensor(class_position(query.label, classes))), complete=True)

    def predict(model: nn.Module, item: Item) -> Prediction:
        with torch.no_grad():
            logits_NC = _logits(model, (item[0][None].to(device_of(model)),))
        label, shown = most_probable(logits_NC[0], classes)
        return Prediction(item=(item[0], torch.tensor(label)), output=shown)

    return Task(
        name=trained.name,
        model=trained.model,
        checkpoints=trained.checkpoints,
        train_set=trained.data.items,
        describe=trained.data.describer(lambda row: class_name(trained.data.items[row][1], classes)),
        loss=loss,
        targets=targets,
        layers=trained.layers,
        query=QueryInterface(payload=payload, parse=parse, predict=predict),
        outputs=categorical_outputs(_logits, _labels, lambda batch, labels: (batch[0], labels)),
        representation=last_layer_input,
        label=lambda item: classes[int(item[1])],
        image=(lambda item: item[0]) if field == "image" else None,
    )


def last_layer_input(model: nn.Module, batch: Batch) -> Tensor:
    """Make `Task.representation`: what the last layer is given, [N, D]."""
    return last_input(model, lambda: model(batch[0])).flatten(1)


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return logits_of(model(batch[0]))


def _labels(batch: Batch) -> Tensor:
    labels_N: Tensor = batch[1]
    return labels_N.to(torch.int64)
