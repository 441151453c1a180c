"""Declare a Task from what a notebook holds: a trained model, its training set and its loss.

Shapes: N examples, C classes.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from byline.api.example import Example
from byline.declarations import kind, require_list
from byline.errors import InvalidTask
from byline.loading.failures import OUT_OF_MEMORY, error_text
from byline.models.training_points import read_items
from byline.task import Batch, Checkpoint, Objective, Outputs, Task, TrainSet
from byline.tasks.classification import (
    categorical_outputs,
    device_of,
    dtype_of,
    logits_of,
    objectives,
    tensor_of,
)
from byline.tasks.labeled_inputs import TrainedModel
from byline.tasks.points import Points, as_items
from byline.tasks.training_data import TrainingData
from byline.tasks.vector import image_classification, vector_classification, vector_regression

NamedLoss = Literal["cross_entropy", "mse"]
Loss = NamedLoss | nn.Module | Callable[..., Tensor]
"""How a model was trained. By name, as a criterion or function of torch (`nn.CrossEntropyLoss()`, `F.mse_loss`), or as
`(model, batch) -> losses_N`."""


def from_model(
    model: nn.Module,
    train_set: Points,
    *,
    loss: Loss,
    classes: Sequence[str] | None = None,
    examples: Sequence[Example] | None = None,
    name: str = "model",
) -> Task:
    """Declare a Task from a trained model in memory.

    Args:
        model: The model with its trained weights. A copy of it is kept.
        train_set: The data that it was trained on. See `Points`.
        loss: How it was trained. With `"cross_entropy"` and `"mse"`, or torch's functions and criteria of these names,
            recipes may sample labels, and vectors and images can be asked as JSON (`vector_classification`,
            `image_classification`, `vector_regression`). Any other function or criterion of torch is called on
            `(model(inputs), labels)` without a reduction. Its values are averaged over every axis but the examples'; a
            criterion with `reduction="sum"` or `"batchmean"` adds them up, as it does for one example. Labels [N] and
            outputs [N, 1] are compared number by number, and so are [N, 1] and [N]. Any other callable is
            `(model, batch) -> losses_N`.
        classes: Names of a classifier's logits, in their order; None numbers them.
        examples: Metadata of the training points, in their order; None names them by their content.
        name: Name of the Task.

    Returns:
        The Task.

    Raises:
        InvalidTask: The loss, the class names or the training set have another form.
    """
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected a torch.nn.Module with trained weights, got {kind(model)}")
    kept = _copied(model).eval()
    trained = TrainedModel(
        name=name,
        model=lambda: copy.deepcopy(kept),
        checkpoints=[Checkpoint(weights=kept.state_dict())],
        data=TrainingData(as_items(train_set, dtype=dtype_of(kept)), examples),
    )
    criterion, output = _criterion(loss), _output_of(trained.model(), trained.data.items)
    if criterion is F.cross_entropy and output is not None and len(output) == 2:
        return _classifier(trained, _class_names(classes, output[1]))
    if classes is not None:
        raise InvalidTask(
            "expected classes only with the loss 'cross_entropy' and a model whose logits are [N, C]: leave them out"
        )
    if criterion is F.mse_loss and output in ([1], [1, 1]) and _input_axes(trained) == 1:
        return vector_regression(trained)
    summed = getattr(loss, "reduction", None) in {"sum", "batchmean"}
    return _plain(trained, _objective(criterion, summed=summed), None)


def _copied(model: nn.Module) -> nn.Module:
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise InvalidTask(
            "expected a model with trained weights, got tensors on the device 'meta', which have no numbers: load the "
            "weights first"
        )
    try:
        return copy.deepcopy(model)
    except OUT_OF_MEMORY:
        raise
    except Exception as error:
        raise InvalidTask(
            f"expected a model that copy.deepcopy can copy, got {kind(model)}, which raised {error_text(error)}: delete "
            "the field that cannot be copied (a lock, an open file, a tensor with a graph), or declare the Task in a file"
        ) from error


def _class_names(classes: Sequence[str] | None, logits: int) -> Sequence[str]:
    """Number the classes, or check the names that are given."""
    if classes is None:
        return [str(number) for number in range(logits)]
    require_list("classes", classes, str, "names")
    if len(classes) != logits:
        raise InvalidTask(
            f"expected {logits} classes, one for each logit of the model, got {len(classes)}: name every logit, in their "
            f"order"
        )
    return classes


def _classifier(trained: TrainedModel, classes: Sequence[str]) -> Task:
    """Take the ready-made Task for the kind of input. Inputs of another kind cannot be asked as JSON."""
    ready_made = {1: vector_classification, 3: image_classification}.get(_input_axes(trained))
    if ready_made is not None:
        return ready_made(trained, classes=classes)
    outputs = categorical_outputs(_logits, _labels, lambda batch, labels: (batch[0], labels))
    return _plain(trained, objectives(_logits, _labels)[0], outputs)


def _plain(trained: TrainedModel, loss: Objective, outputs: Outputs | None) -> Task:
    return Task(
        name=trained.name,
        model=trained.model,
        checkpoints=trained.checkpoints,
        train_set=trained.data.items,
        describe=trained.data.describer(None),
        loss=loss,
        outputs=outputs,
    )


def _input_axes(trained: TrainedModel) -> int:
    """Count the axes of one input. 0 where items do not begin with a tensor of floating numbers."""
    try:
        return trained.data.input.ndim
    except InvalidTask:
        return 0


def _output_of(model: nn.Module, items: TrainSet) -> list[int] | None:
    """Find the shape of the model's output for one item. None where it takes no such pair."""
    try:
        (item,) = read_items(items, [0])
        with torch.no_grad():
            return list(tensor_of(model(default_collate([item])[0].to(device_of(model)))).shape)
    except (InvalidTask, RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError):
        return (
            None  # a function (model, batch) may take what this does not; what is wrong shows where it runs
        )


def _objective(criterion: nn.Module | Callable[..., Tensor], *, summed: bool) -> Objective:
    if isinstance(criterion, nn.Module):
        return _per_example(_unreduced(criterion), summed=summed)
    if criterion is F.mse_loss:
        return _per_example(
            lambda output, label: F.mse_loss(
                output, _aligned(label.to(output.dtype), output), reduction="none"
            ),
            summed=summed,
        )
    if "reduction" in inspect.signature(criterion).parameters:
        return _per_example(lambda output, label: criterion(output, label, reduction="none"), summed=summed)
    return criterion


def _criterion(loss: Loss) -> nn.Module | Callable[..., Tensor]:
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


def _unreduced(criterion: nn.Module) -> nn.Module:
    if not hasattr(criterion, "reduction"):
        raise InvalidTask(
            f"expected a criterion of torch.nn with a reduction, got {kind(criterion)}: pass a function "
            "(model, batch) -> losses_N"
        )
    unreduced = copy.deepcopy(criterion)
    unreduced.__dict__["reduction"] = "none"
    return unreduced


def _per_example(unreduced: Callable[[Tensor, Tensor], Tensor], *, summed: bool) -> Objective:
    """Average a loss without reduction, or add it up, over everything but the examples."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        output = tensor_of(model(batch[0]))
        losses_N = unreduced(output, _aligned(batch[1], output))
        if losses_N.ndim < 2:
            return losses_N
        return losses_N.flatten(1).sum(dim=1) if summed else losses_N.flatten(1).mean(dim=1)

    return objective


def _aligned(labels: Tensor, output: Tensor) -> Tensor:
    """Give one number an example the output's shape; integers of another shape are class positions.

    Raises:
        InvalidTask: Numbers of another shape would be compared with every output of the batch.
    """
    if labels.is_floating_point():
        labels = labels.to(output.dtype)
    if labels.shape == output.shape:
        return labels
    if labels.numel() == output.numel() == len(labels) == len(output):
        return labels.reshape(output.shape)
    if labels.is_floating_point():
        raise InvalidTask(
            f"expected labels of the shape of the model's outputs, {list(output.shape)} for a batch, got "
            f"{list(labels.shape)}: make their shapes equal in the training set or in the model's forward"
        )
    return labels


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return logits_of(model(batch[0]))


def _labels(batch: Batch) -> Tensor:
    labels_N: Tensor = batch[1]
    return labels_N
