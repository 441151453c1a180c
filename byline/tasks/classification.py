"""Losses and targets of classifiers, and how a class label completes a query.

Shapes: N examples, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.task import Batch, Objective, Outputs, TrainSet

Logits = Callable[[nn.Module, Batch], Tensor]
"""`(model, batch) -> logits_NC`."""
Labels = Callable[[Batch], Tensor]
"""`batch -> labels_N`, int64."""

SHOWN_CLASSES = 10
"""Classes of a prediction that are shown, the most probable first."""


def margin(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """Compute log(p / (1 - p)) of the labels' probabilities, without forming p.

    With logits z it is z_y - logsumexp of the other z (Park et al. 2023, TRAK), which keeps its
    precision where p rounds to 1.

    Args:
        logits_NC: At least two classes.
        labels_N: Class positions.

    Returns:
        margins_N.
    """
    own_NC = F.one_hot(labels_N, logits_NC.shape[1]).to(torch.bool)
    others_N = logits_NC.masked_fill(own_NC, -torch.inf).logsumexp(dim=1)
    return label_logit(logits_NC, labels_N) - others_N


def label_logit(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """Pick each label's logit."""
    return logits_NC.gather(1, labels_N[:, None]).squeeze(1)


def objectives(logits: Logits, labels: Labels) -> tuple[Objective, dict[str, Objective]]:
    """Make a classifier's loss and targets.

    Args:
        logits: Function that runs the model on a batch.
        labels: Function that takes a batch's labels.

    Returns:
        Cross-entropy, and the targets `margin` and `logit` (the label's).
    """

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(logits(model, batch), labels(batch), reduction="none")

    def margin_target(model: nn.Module, batch: Batch) -> Tensor:
        return margin(logits(model, batch), labels(batch))

    def logit_target(model: nn.Module, batch: Batch) -> Tensor:
        return label_logit(logits(model, batch), labels(batch))

    return loss, {"margin": margin_target, "logit": logit_target}


def categorical_outputs(logits: Logits, labels: Labels, relabel: Callable[[Batch, Tensor], Batch]) -> Outputs:
    """Declare what a classifier predicts a distribution with.

    Args:
        logits: Function that runs the model on a batch.
        labels: Function that takes a batch's labels.
        relabel: Puts other labels there, in a batch of its own.

    Returns:
        Logits and cross-entropy.
    """

    def loss(logits_NC: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits_NC, labels(batch), reduction="none")

    return Outputs(compute=logits, loss=loss, relabel=relabel)


def logits_of(output: Any) -> Tensor:
    """Take the logits out of what a classifier returns.

    Args:
        output: As for `tensor_of`.

    Returns:
        logits_NC.

    Raises:
        InvalidTask: There are none, or they have not the shape [N, C].
    """
    found = tensor_of(output)
    if found.ndim != 2 or not found.is_floating_point():
        raise InvalidTask(
            f"expected a model whose logits are floating numbers [N, C], one a class, got {list(found.shape)} of "
            f"{str(found.dtype).removeprefix('torch.')}: make it a classifier of whole inputs"
        )
    return found


def tensor_of(output: Any) -> Tensor:
    """Take the tensor out of what a model returns.

    Args:
        output: A tensor; something with `logits` (Hugging Face's outputs, a named tuple, a mapping); or a tuple or list
            that begins with it.

    Raises:
        InvalidTask: It is nothing of these.
    """
    found = output
    if isinstance(output, Mapping):
        found = output.get("logits")
    elif not isinstance(output, Tensor):
        first = output[0] if isinstance(output, tuple | list) and len(output) else None
        found = getattr(output, "logits", first)
    if not isinstance(found, Tensor):
        raise InvalidTask(
            f"expected a model that returns a tensor, or an output with `logits`, got {kind(output)} without: return the "
            f"logits from its forward"
        )
    return found


def require_classes(classes: Sequence[str]) -> None:
    """Refuse class names that cannot name the logits.

    Raises:
        InvalidTask: Fewer than two, or one of them twice.
    """
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise InvalidTask(
            f"expected the names of at least two different classes, got {len(classes)} "
            f"({len(set(classes))} different): name one for each logit, in their order"
        )


def require_class_positions(items: TrainSet, classes: int) -> None:
    """Refuse labels that name no logit, where all labels are in memory; other data sets are read in the build.

    Args:
        items: (input, label) pairs.
        classes: Number of logits C.

    Raises:
        InvalidTask: A label is outside 0..C-1; names the first row.
    """
    if isinstance(items, TensorDataset) and len(items.tensors) == 2:
        labels = items.tensors[1]
    elif isinstance(items, list):
        labels = torch.tensor([int(item[1]) if _is_position(item) else 0 for item in items])
    else:
        return
    if labels.ndim != 1 or labels.is_floating_point():
        return
    wrong = ((labels < 0) | (labels >= classes)).nonzero().flatten().tolist()
    if wrong:
        raise InvalidTask(
            f"expected labels from 0 to {classes - 1}, one for each logit, got labels from {int(labels.min())} to "
            f"{int(labels.max())}, the first outside in row {wrong[0]} of the training set: leave out the rows without a "
            f"class, or correct their labels"
        )


def class_name(label: Tensor | int, classes: Sequence[str]) -> str:
    """Name the class of a training point.

    Raises:
        InvalidTask: The label is outside 0..C-1.
    """
    if not 0 <= int(label) < len(classes):
        raise InvalidTask(
            f"expected a label from 0 to {len(classes) - 1}, one for each logit, got {int(label)}: leave out the rows "
            f"without a class, or correct their labels"
        )
    return classes[int(label)]


def _is_position(item: Any) -> bool:
    if not (isinstance(item, tuple | list) and len(item) == 2):
        return False
    label = item[1]
    return isinstance(label, int) or (
        isinstance(label, Tensor) and not label.ndim and not label.is_floating_point()
    )


def most_probable(logits_C: Tensor, classes: Sequence[str]) -> tuple[int, dict[str, JsonValue]]:
    """Choose the class and describe the choice.

    Args:
        logits_C: Logits of one query.
        classes: Names in the order of the logits.

    Returns:
        The position, and what people are shown: label, probability, and the best classes'
        probabilities.

    Raises:
        InvalidTask: The model has another number of logits than there are names.
    """
    if logits_C.shape != (len(classes),):
        raise InvalidTask(f"expected {len(classes)} logits, one for each class, got {list(logits_C.shape)}")
    probabilities_C = logits_C.detach().to("cpu", torch.float64).softmax(0)
    order = torch.sort(probabilities_C, descending=True, stable=True).indices[:SHOWN_CLASSES].tolist()
    ranked: dict[str, JsonValue] = {classes[c]: float(probabilities_C[c]) for c in order}
    best = order[0]
    shown: dict[str, JsonValue] = {
        "label": classes[best],
        "probability": ranked[classes[best]],
        "probabilities": ranked,
    }
    return best, shown


def dtype_of(model: nn.Module) -> torch.dtype:
    """Tell a model's precision, by its first floating parameter or buffer; single where it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return next((each.dtype for each in tensors if each.is_floating_point()), torch.float32)


def device_of(model: nn.Module) -> torch.device:
    """Tell where a model lives, by its first parameter or buffer."""
    tensors: Any = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else torch.device("cpu")
