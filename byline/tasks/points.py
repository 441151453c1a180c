"""Take points as people have them: two tensors or arrays, or a data set of items."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import TensorDataset

from byline.declarations import kind, require_items
from byline.errors import InvalidTask
from byline.models.training_points import read_items
from byline.task import TrainSet

Array = Tensor | NDArray[Any]
Points = TrainSet | Sequence[Any] | tuple[Array, Array]
"""A data set of (input, label) pairs or of any other items, or two tensors or NumPy arrays: inputs [N, ...] and labels
[N, ...]."""


def as_items(points: Points, name: str = "train_set", dtype: torch.dtype = torch.float32) -> TrainSet:
    """Take two tensors or arrays as a data set of pairs; anything else is a data set already.

    Args:
        points: See `Points`.
        name: Names the points in messages.
        dtype: Precision that floating NumPy arrays are converted to. Integers stay, and integer labels become int64.

    Returns:
        A data set.

    Raises:
        InvalidTask: The two have different lengths, or the points are no data set.
    """
    if not (isinstance(points, tuple) and points and all(isinstance(p, Tensor | np.ndarray) for p in points)):
        require_items(name, points)
        return points
    if len(points) != 2:
        raise InvalidTask(
            f"expected {name} to be two tensors, inputs and labels, or a data set of items, got a tuple of "
            f"{len(points)}: pass (inputs, labels); items of other parts go into a torch.utils.data.TensorDataset"
        )
    inputs, labels = (_tensor(part, name, dtype) for part in points)
    if not labels.is_floating_point() and not labels.is_complex():
        labels = labels.to(torch.int64)
    if not inputs.ndim or not labels.ndim or len(inputs) != len(labels):
        raise InvalidTask(
            f"expected inputs [N, ...] and labels [N, ...], got {list(inputs.shape)} and {list(labels.shape)}"
        )
    return cast(TrainSet, TensorDataset(inputs, labels))


def require_same_form(items: TrainSet | Sequence[Any], like: TrainSet, name: str) -> None:
    """Require that items have the form of the training set's, by their first ones: so many parts, or no parts.

    Args:
        items: The items.
        like: The training set.
        name: Names the items in messages.

    Raises:
        InvalidTask: They have another form.
    """
    if not len(items) or not len(like):
        return
    (wanted,), (got,) = read_items(like, [0]), read_items(items, [0], f"item {{}} of {name}")
    if _form(wanted) != _form(got):
        raise InvalidTask(
            f"expected {name} to hold items as the training set's, each {_form(wanted)}, got {_form(got)}: pass inputs "
            f"and labels in the form of the training set"
        )


def _form(item: Any) -> str:
    if isinstance(item, tuple | list):
        return f"a sequence of {len(item)} parts"
    return kind(item)


def _tensor(part: Array, name: str, dtype: torch.dtype) -> Tensor:
    if isinstance(part, Tensor):
        return part
    try:
        converted = torch.from_numpy(np.array(part, order="C"))  # a copy: the array may be read-only
    except TypeError as error:
        raise InvalidTask(
            f"expected {name} to hold arrays of numbers, got one of dtype {part.dtype}: convert it to numbers"
        ) from error
    return converted.to(dtype) if converted.is_floating_point() else converted
