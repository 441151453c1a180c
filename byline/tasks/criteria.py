"""Losses of torch, taken example by example: criteria, functions with a `reduction`, and functions of a model.

Shapes: N examples, C classes.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.task import Batch, Objective
from byline.tasks.classification import tensor_of

NamedLoss = Literal["cross_entropy", "mse"]
Loss = NamedLoss | nn.Module | Callable[..., Tensor]
"""How a model was trained. By name, as a criterion or function of torch (`nn.CrossEntropyLoss()`, `F.mse_loss`), or as
`(model, batch) -> losses_N`."""
Criterion = nn.Module | Callable[..., Tensor]
"""A criterion of torch, or a function."""

_CROSS_ENTROPIES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
_CROSS_ENTROPY_FUNCTIONS = (F.cross_entropy, F.nll_loss, F.multi_margin_loss)
_ELEMENTWISE = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.KLDivLoss,
    nn.PoissonNLLLoss,
    nn.SoftMarginLoss,
)
_ELEMENTWISE_FUNCTIONS = (
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.kl_div,
    F.poisson_nll_loss,
    F.soft_margin_loss,
)


def criterion_of(loss: Loss) -> Criterion:
    """Replace names and plain criteria by torch's functions.

    Args:
        loss: How a model was trained.

    Returns:
        `F.cross_entropy`, `F.mse_loss`, or the loss as it is.

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
    if isinstance(loss, type):
        raise InvalidTask(
            f"expected loss to be a criterion, got the class {loss.__name__}: make one of it, loss={loss.__name__}()"
        )
    if isinstance(loss, str) or not callable(loss):
        raise InvalidTask(
            f"expected loss to be 'cross_entropy', 'mse', a loss of torch, or a function (model, batch) -> losses_N, got "
            f"{kind(loss)}"
        )
    return loss


def is_of_torch(criterion: Criterion) -> bool:
    """Tell whether a criterion is called on outputs and labels, and not on a model and a batch."""
    return isinstance(criterion, nn.Module) or "reduction" in inspect.signature(criterion).parameters


def takes_classes(criterion: Criterion) -> bool:
    """Tell whether a criterion is a cross-entropy, whose integer labels are class positions."""
    return isinstance(criterion, nn.CrossEntropyLoss) or criterion is F.cross_entropy


def objective_of(criterion: Criterion, loss: Loss) -> Objective:
    """Make `Task.loss` of a criterion: one value an example.

    Args:
        criterion: What `criterion_of` returned.
        loss: The same before that, whose `reduction` counts.

    Returns:
        The values without reduction, averaged or added up over everything but the examples. Positions that
        `ignore_index` leaves out are left out of the mean.

    Raises:
        InvalidTask: A module is no criterion.
    """
    if not is_of_torch(criterion):
        return criterion
    unreduced, summed = _unreduced(criterion), getattr(loss, "reduction", None) in {"sum", "batchmean"}
    ignored = _ignored_label(criterion)

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        output = tensor_of(model(batch[0]))
        labels = _aligned(batch[1], output, criterion)
        losses = unreduced(output, labels)
        if losses.ndim < 2:
            return losses
        sums_N = losses.flatten(1).sum(dim=1)
        return sums_N if summed else sums_N / _counts(losses, labels, ignored)

    return objective


def _counts(losses: Tensor, labels: Tensor, ignored: int | None) -> Tensor:
    """Count the values of each example that its mean is taken over; 1 where all are left out."""
    if ignored is None or labels.is_floating_point() or labels.shape != losses.shape:
        return losses.new_full((len(losses),), losses[0].numel())
    return (labels != ignored).flatten(1).sum(dim=1).clamp(min=1).to(losses.dtype)


def _ignored_label(criterion: Criterion) -> int | None:
    if isinstance(criterion, nn.Module):
        return getattr(criterion, "ignore_index", None)
    declared = inspect.signature(criterion).parameters.get("ignore_index")
    return None if declared is None else declared.default


def _unreduced(criterion: Criterion) -> Callable[[Tensor, Tensor], Tensor]:
    if not isinstance(criterion, nn.Module):
        return lambda output, labels: criterion(output, labels, reduction="none")
    if not hasattr(criterion, "reduction"):
        raise InvalidTask(
            f"expected a criterion of torch.nn with a reduction, got {kind(criterion)}: pass a function "
            "(model, batch) -> losses_N"
        )
    unreduced = copy.deepcopy(criterion)
    unreduced.__dict__["reduction"] = "none"
    return unreduced


def _is_plain(loss: nn.CrossEntropyLoss) -> bool:
    return loss.weight is None and not loss.label_smoothing and loss.ignore_index == -100


def _aligned(labels: Tensor, output: Tensor, criterion: Criterion) -> Tensor:
    """Give labels the shape and type that a criterion compares with the outputs.

    Raises:
        InvalidTask: Numbers of another shape would be compared with every output of the batch.
    """
    elementwise = isinstance(criterion, _ELEMENTWISE) or criterion in _ELEMENTWISE_FUNCTIONS
    if labels.is_floating_point() or elementwise:
        labels = labels.to(output.dtype)
    elif isinstance(criterion, _CROSS_ENTROPIES) or criterion in _CROSS_ENTROPY_FUNCTIONS:
        labels = labels.to(torch.int64)
    if labels.shape == output.shape:
        return labels
    if labels.numel() == output.numel() == len(labels) == len(output):
        return labels.reshape(output.shape)
    if labels.is_floating_point():
        raise InvalidTask(
            f"expected labels of the shape of the model's outputs, {list(output.shape)} for a batch, got "
            f"{list(labels.shape)}: {_way_out(labels, output, elementwise=elementwise)}"
        )
    return labels


def _way_out(labels: Tensor, output: Tensor, *, elementwise: bool) -> str:
    if not elementwise and labels.shape == output.shape[:1]:
        return "class positions are integers, labels.long()"
    if labels.ndim + 1 == output.ndim and output.shape[-1] == 1:
        return "make their shapes equal, such as by labels[..., None]"
    return "make their shapes equal in the training set or in the model's forward"


def require_model_function(loss: Criterion, model: nn.Module, batch: Batch) -> None:
    """Refuse a function of (output, label) in place of (model, batch).

    Args:
        loss: A function.
        model: The model.
        batch: Of one item.

    Raises:
        InvalidTask: It fails on (model, batch) and returns a tensor for (model(inputs), labels).
    """
    if isinstance(_tried(lambda: loss(model, batch)), Tensor):
        return
    if isinstance(_tried(lambda: loss(tensor_of(model(batch[0])), batch[1])), Tensor):
        raise InvalidTask(
            "expected loss to be a function (model, batch) -> losses_N, got one of (output, label): pass "
            "lambda model, batch: loss(model(batch[0]), batch[1]), with one value an example (reduction='none')"
        )


def _tried(call: Callable[[], object]) -> object:
    """Call; None where it raises: what is wrong shows where the gradients are checked, with its place."""
    try:
        return call()
    except Exception:  # a user's code may raise anything
        return None
