"""Declare a Task from what a notebook holds: a trained model, its training set and its loss.

Shapes: N examples, C classes.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset, default_collate

from byline.api.example import Example
from byline.declarations import kind
from byline.errors import InvalidTask
from byline.models.training_points import read_items
from byline.task import Batch, Checkpoint, Objective, Outputs, Task, TrainSet
from byline.tasks.classification import categorical_outputs, device_of, logits_of, objectives, tensor_of
from byline.tasks.training_data import TrainingData
from byline.tasks.vector import SQUARED_ERROR, squared_error

NamedLoss = Literal["cross_entropy", "mse"]
Loss = NamedLoss | nn.Module | Callable[..., Tensor]
"""How a model was trained. By name, as a criterion or function of torch (`nn.CrossEntropyLoss()`, `F.mse_loss`), or as
`(model, batch) -> losses_N`."""
Points = TrainSet | Sequence[Any] | tuple[Tensor, Tensor]
"""A data set of (input, label) pairs or of any other items, or two tensors: inputs [N, ...] and labels [N, ...]."""


def from_model(
    model: nn.Module,
    train_set: Points,
    *,
    loss: Loss,
    examples: Sequence[Example] | None = None,
    name: str = "model",
) -> Task:
    """Declare a Task from a trained model in memory.

    Args:
        model: The model with its trained weights. A copy of it is kept.
        train_set: The data that it was trained on; see `Points`.
        loss: How it was trained. With `"cross_entropy"` and `"mse"`, or torch's functions and criteria of these names,
            `model(inputs)` returns logits [N, C] or numbers [N], and recipes may sample labels. Any other function or
            criterion of torch is called on `(model(inputs), labels)` without a reduction. Any other callable is
            `(model, batch) -> losses_N`.
        examples: Metadata of the training points, in their order; None names them by their content.
        name: Of the Task.

    Returns:
        The Task. It answers items of the data set's kind (`Attributor.scores`).

    Raises:
        InvalidTask: The loss or the training set has another form.
    """
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected a torch.nn.Module with trained weights, got {kind(model)}")
    data = TrainingData(as_items(train_set), examples)
    kept = copy.deepcopy(model).eval()
    objective, outputs = _objective(loss, _output_of(kept, data.items))
    return Task(
        name=name,
        model=lambda: copy.deepcopy(kept),
        checkpoints=[Checkpoint(weights=kept.state_dict())],
        train_set=data.items,
        describe=data.describer(None),
        loss=objective,
        outputs=outputs,
    )


def as_items(points: Points) -> TrainSet:
    """Take two tensors as a data set of pairs; anything else is a data set already.

    Args:
        points: See `Points`.

    Returns:
        A data set.

    Raises:
        InvalidTask: The tensors have different lengths.
    """
    if not (
        isinstance(points, tuple) and len(points) == 2 and all(isinstance(each, Tensor) for each in points)
    ):
        return points
    inputs, labels = points
    if not inputs.ndim or not labels.ndim or len(inputs) != len(labels):
        raise InvalidTask(
            f"expected inputs [N, ...] and labels [N, ...], got {list(inputs.shape)} and {list(labels.shape)}"
        )
    return cast(TrainSet, TensorDataset(inputs, labels))


def _output_of(model: nn.Module, items: TrainSet) -> list[int] | None:
    """Find the shape of the model's output for one item; None where it takes no such pair."""
    try:
        (item,) = read_items(items, [0])
        with torch.no_grad():
            return list(tensor_of(model(default_collate([item])[0].to(device_of(model)))).shape)
    except (InvalidTask, RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return (
            None  # a function (model, batch) may take what this does not; what is wrong shows where it runs
        )


def _objective(loss: Loss, output: list[int] | None) -> tuple[Objective, Outputs | None]:
    """Take the loss of each example, and the predictive distribution where it is known."""
    found = _functional(loss)
    if found is F.cross_entropy and output is not None and len(output) == 2:
        outputs = categorical_outputs(_logits, _labels, lambda batch, labels: (batch[0], labels))
        return objectives(_logits, _labels)[0], outputs
    if found is F.mse_loss and output in ([1], [1, 1]):
        return squared_error, SQUARED_ERROR
    if isinstance(found, nn.Module):
        return _of_criterion(found), None
    if "reduction" in inspect.signature(found).parameters:
        return _per_example(lambda output, label: found(output, label, reduction="none")), None
    return found, None


def _functional(loss: Loss) -> nn.Module | Callable[..., Tensor]:
    """Replace names and plain criteria by torch's functions.

    Raises:
        InvalidTask: It is no loss.
    """
    named: dict[Any, Callable[..., Tensor]] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}
    if isinstance(loss, str) and loss in named:
        return named[loss]
    if isinstance(loss, nn.CrossEntropyLoss) and _is_plain(loss):
        return F.cross_entropy
    if isinstance(loss, nn.MSELoss):
        return F.mse_loss
    if isinstance(loss, str) or not callable(loss):
        raise InvalidTask(
            f"expected loss to be 'cross_entropy', 'mse', a loss of torch, or a function (model, batch) -> losses_N, got "
            f"{kind(loss)}"
        )
    return loss


def _is_plain(loss: nn.CrossEntropyLoss) -> bool:
    return loss.weight is None and not loss.label_smoothing and loss.ignore_index == -100


def _of_criterion(criterion: nn.Module) -> Objective:
    if not hasattr(criterion, "reduction"):
        raise InvalidTask(
            f"expected a criterion of torch.nn with a reduction, got {kind(criterion)}: pass a function "
            "(model, batch) -> losses_N"
        )
    unreduced = copy.deepcopy(criterion)
    unreduced.__dict__["reduction"] = "none"
    return _per_example(unreduced)


def _per_example(unreduced: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """Average a loss without reduction over everything but the examples."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        losses_N = unreduced(tensor_of(model(batch[0])), batch[1])
        return losses_N.flatten(1).mean(dim=1) if losses_N.ndim > 1 else losses_N

    return objective


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return logits_of(model(batch[0]))


def _labels(batch: Batch) -> Tensor:
    labels_N: Tensor = batch[1]
    return labels_N
