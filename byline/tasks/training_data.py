"""Training points in memory and their metadata, for tasks whose items are (input, label) pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from byline.api.example import Example
from byline.declarations import require_items, require_list
from byline.digests import content_id
from byline.errors import InvalidTask
from byline.models.training_points import read_items
from byline.task import TrainSet


@dataclass(frozen=True)
class TrainingData:
    """A training set, and the owner of each point."""

    items: TrainSet
    """(input, label) pairs in a fixed order: inputs of one shape, labels as class positions or
    numbers."""
    examples: Sequence[Example] | None = None
    """One for each item, with different ids. None names the items by their content."""

    def __post_init__(self) -> None:
        require_items("TrainingData.items", self.items)
        if len(self.items) == 0:
            raise InvalidTask("expected training data with at least one item, got none")
        if self.examples is None:
            return
        require_list("TrainingData.examples", self.examples, Example, "Examples")
        if len(self.examples) != len(self.items):
            raise InvalidTask(
                f"expected an Example for each of {len(self.items)} items, got {len(self.examples)}"
            )
        require_distinct([example.id for example in self.examples])

    @classmethod
    def from_arrays(
        cls,
        inputs_N: Tensor | np.ndarray,
        labels_N: Tensor | np.ndarray | Sequence[float],
        examples: Sequence[Example] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> "TrainingData":
        """Take whole arrays: the first axis counts the points.

        Args:
            inputs_N: Numbers of shape [N, ...].
            labels_N: Class positions (integers) or numbers to regress on (floating), shape [N].
            examples: One for each point. None names the points by their content.
            dtype: Precision of the model's weights.

        Returns:
            The training data.

        Raises:
            InvalidTask: The arrays differ in length, or hold a number that is not finite.
        """
        inputs, labels = torch.as_tensor(inputs_N), torch.as_tensor(labels_N)
        if labels.ndim != 1 or len(inputs) != len(labels):
            raise InvalidTask(
                f"expected inputs [N, ...] and labels [N], got {list(inputs.shape)} and {list(labels.shape)}"
            )
        inputs = inputs.to(dtype)
        labels = labels.to(dtype if labels.is_floating_point() else torch.int64)
        for what, values in (("inputs", inputs), ("labels", labels)):
            bad = (~torch.isfinite(values)).reshape(len(values), -1).any(dim=1).nonzero().flatten().tolist()
            if bad:
                raise InvalidTask(
                    f"expected finite inputs and labels, got NaN or infinity in the {what} of {len(bad)} rows, the first "
                    f"{bad[0]}: drop or repair those rows"
                )
        return cls(cast(TrainSet, TensorDataset(inputs, labels)), examples)

    @property
    def input(self) -> Tensor:
        """The first item's input: the shape and type that every query must have.

        Raises:
            InvalidTask: The items are not pairs that begin with a tensor of floating numbers.
        """
        (item,) = read_items(self.items, [0])
        if not (isinstance(item, Sequence) and len(item) == 2):
            raise InvalidTask(f"expected items that are (input, label) pairs, got a {type(item).__name__}")
        first = item[0]
        if not (isinstance(first, Tensor) and first.is_floating_point()):
            raise InvalidTask(
                "expected inputs that are tensors of floating numbers, got a "
                f"{type(first).__name__}: convert them in the data set"
            )
        return first

    def describer(self, label_name: Callable[[int], str] | None) -> Callable[[int], Example]:
        """Make `Task.describe`.

        Args:
            label_name: Row -> what people call its label; fills the labels of examples without one. None leaves them.

        Returns:
            A function from row to `Example`, cheap after the first call.
        """

        def describe(row: int) -> Example:
            if self.examples is None:
                return Example(id=self._content_ids[row], label=label_name(row) if label_name else None)
            example = self.examples[row]
            if example.label is not None or label_name is None:
                return example
            return example.model_copy(update={"label": label_name(row)})

        return describe

    @cached_property
    def _content_ids(self) -> list[str]:
        rows = range(len(self.items))
        return distinct([content_id(item) for row in rows for item in read_items(self.items, [row])])


def distinct(ids: Sequence[str]) -> list[str]:
    """Tell duplicates apart: the second point with an id gets `~2` behind it, the third `~3`.

    Args:
        ids: In row order. Content ids, which equal items share.

    Returns:
        As many different ids, the first of each kept as it was.
    """
    seen: dict[str, int] = {}
    result = []
    for given in ids:
        seen[given] = seen.get(given, 0) + 1
        result.append(given if seen[given] == 1 else f"{given}~{seen[given]}")
    return result


def require_distinct(ids: Sequence[str | None]) -> None:
    """Refuse ids of the user's own that name two points.

    Args:
        ids: In row order. None where a point has none.

    Raises:
        InvalidTask: An id occurs twice.
    """
    first: dict[str, int] = {}
    for row, each in enumerate(ids):
        if each is not None and first.setdefault(each, row) != row:
            own = [given for given in ids if given is not None]
            raise InvalidTask(
                f"expected {len(own)} different ids, got {len(set(own))}: those at positions {first[each]} and {row} are "
                f"the same, and every one needs its own"
            )
