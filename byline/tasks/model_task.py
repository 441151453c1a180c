"""Declare a Task from what a notebook holds: a trained model, its training set and its loss.

Shapes: N examples, C classes.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from byline.api.example import Example
from byline.declarations import kind, require_list
from byline.errors import InvalidTask
from byline.loading.failures import OUT_OF_MEMORY, error_text
from byline.models.device import to_device
from byline.models.network import require_eager
from byline.models.training_points import read_items
from byline.task import Batch, Checkpoint, Objective, Outputs, Task, TrainSet
from byline.tasks.classification import (
    categorical_outputs,
    device_of,
    dtype_of,
    logits_of,
    objectives,
    require_class_positions,
    require_classes,
    tensor_of,
)
from byline.tasks.criteria import (
    Criterion,
    Loss,
    criterion_of,
    is_of_torch,
    objective_of,
    require_model_function,
    takes_classes,
)
from byline.tasks.labeled_inputs import TrainedModel
from byline.tasks.points import Points, as_items
from byline.tasks.training_data import TrainingData
from byline.tasks.vector import image_classification, vector_classification, vector_regression


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
            criterion with `reduction="sum"` or `"batchmean"` adds them up, as it does for one example. Positions of
            `ignore_index` are left out. Labels [N] and
            outputs [N, 1] are compared number by number, and so are [N, 1] and [N]. Any other callable is
            `(model, batch) -> losses_N`.
        classes: Names of a classifier's logits, in their order; None numbers them.
        examples: Metadata of the training points, in their order; None names them by their content.
        name: Name of the Task.

    Returns:
        The Task.

    Raises:
        InvalidTask: The loss, the class names or the training set have another form.
        UnsupportedModel: The model was compiled by `torch.jit`.
    """
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected a torch.nn.Module with trained weights, got {kind(model)}")
    require_eager(model)
    kept = _copied(model).eval()
    trained = TrainedModel(
        name=name,
        model=lambda: copy.deepcopy(kept),
        checkpoints=[Checkpoint(weights=kept.state_dict())],
        data=TrainingData(as_items(train_set, dtype=dtype_of(kept)), examples),
    )
    criterion, output = criterion_of(loss), _output_of(trained.model(), trained.data.items)
    if not is_of_torch(criterion):
        _require_model_function(criterion, trained)
    has_positions = takes_classes(criterion) and _has_class_positions(trained.data.items)
    if output is not None and len(output) == 2 and has_positions:
        names = _class_names(classes, output[1])
        if criterion is F.cross_entropy:
            return _classifier(trained, names)
        if classes is None:
            return _plain(trained, objective_of(criterion, loss), None, objectives(_logits, _labels)[1])
    if classes is not None:
        raise InvalidTask(
            "expected classes only with the loss 'cross_entropy', a model whose logits are [N, C] and labels that are "
            "integers [N]: leave them out"
        )
    if criterion is F.mse_loss and output in ([1], [1, 1]) and _input_axes(trained) == 1:
        return vector_regression(trained)
    return _plain(trained, objective_of(criterion, loss), None, {})


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
    require_classes(classes)
    require_class_positions(trained.data.items, len(classes))
    outputs = categorical_outputs(_logits, _labels, lambda batch, labels: (batch[0], labels))
    loss, targets = objectives(_logits, _labels)
    return _plain(trained, loss, outputs, targets)


def _has_class_positions(items: TrainSet) -> bool:
    """Tell whether the first item's label is no vector of probabilities."""
    (item,) = read_items(items, [0])
    label = item[1] if isinstance(item, Sequence) and len(item) == 2 else None
    return not isinstance(label, float) and not (isinstance(label, Tensor) and label.is_floating_point())


def _require_model_function(loss: Criterion, trained: TrainedModel) -> None:
    try:
        batch = default_collate([trained.data.items[0]])
    except (TypeError, RuntimeError, KeyError):
        return  # items of a kind that needs a collate of its own
    model = trained.model()
    require_model_function(loss, model, to_device(batch, device_of(model)))


def _plain(
    trained: TrainedModel, loss: Objective, outputs: Outputs | None, targets: Mapping[str, Objective]
) -> Task:
    return Task(
        name=trained.name,
        model=trained.model,
        checkpoints=trained.checkpoints,
        train_set=trained.data.items,
        describe=trained.data.describer(None),
        loss=loss,
        targets=targets,
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


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return logits_of(model(batch[0]))


def _labels(batch: Batch) -> Tensor:
    labels_N: Tensor = batch[1]
    return labels_N.to(torch.int64)
