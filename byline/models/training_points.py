"""Read training points: the one place where Byline calls a Task's data, so that an error names its row.

Items that are read here know their rows. Where a batch of them fails later, in `Task.collate`, in the loss or with a NaN,
the point that fails alone is named.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, SupportsIndex, TypeVar, overload

import torch
from torch import Tensor

from byline.api.example import Example
from byline.errors import BylineError, InvalidInput, InvalidTask, UnsupportedModel
from byline.loading.failures import OUT_OF_MEMORY, error_place, error_text, task_code_failures
from byline.models.device import CPU, to_device
from byline.names.owner_labels import OwnerSpellings
from byline.task import Batch, Item, Task, TrainSet

Result = TypeVar("Result")
TRAINING = "row {} of the training set"
"""Name of a training point in messages."""
EVALUATION = "row {} of the evaluation set"
"""Name of an item of the evaluation set in messages."""
REPAIR = "repair that point, or leave it out of the data set"


class NamedItems(list[Item]):
    """Items, and how a message names each.

    Args:
        items: Items of the data set's kind.
        names: Name of each item: `row 3 of the training set`.
    """

    def __init__(self, items: Iterable[Item], names: Iterable[str]) -> None:
        super().__init__(items)
        self.names = list(names)

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Item: ...

    @overload
    def __getitem__(self, index: slice, /) -> "NamedItems": ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Item:
        """An item, or some of them with their names."""
        found = super().__getitem__(index)
        return NamedItems(found, self.names[index]) if isinstance(index, slice) else found

    def chosen(self, places: Iterable[int]) -> "NamedItems":
        """Take the items at some places, with their names."""
        kept = list(places)
        return NamedItems((self[place] for place in kept), (self.names[place] for place in kept))


def read_items(train_set: TrainSet, rows: Iterable[int], name: str = TRAINING) -> NamedItems:
    """Read items by their rows.

    Args:
        train_set: A Task's training or evaluation set.
        rows: Row numbers.
        name: `TRAINING` or `EVALUATION`.

    Returns:
        The items, which know their rows.

    Raises:
        InvalidTask: One cannot be read. The message names its row.
    """
    numbers = [int(row) for row in rows]
    known = (
        train_set.names if isinstance(train_set, NamedItems) else None
    )  # a part of a data set keeps its rows' names
    names = [name.format(row) if known is None else known[row] for row in numbers]
    return NamedItems((_read(train_set, row, each) for row, each in zip(numbers, names, strict=True)), names)


def _read(train_set: TrainSet, row: int, name: str) -> Item:
    try:
        with task_code_failures("reading it", REPAIR):
            return train_set[row]
    except InvalidTask as error:
        raise InvalidTask(f"{name}: {error}") from error


def describe_row(task: Task, row: int, spellings: OwnerSpellings | None = None) -> Example:
    """Take the metadata of one row, with its owner's label in one spelling.

    Args:
        task: The Task.
        row: The row.
        spellings: Notes the owner's spelling.

    Raises:
        InvalidTask: `Task.describe` fails, or returns something else. The message names the row.
    """
    with task_code_failures(f"Task.describe({row})", "correct its result for that row"):
        try:
            example = task.describe(row)
        except InvalidTask as error:
            raise InvalidTask(f"Task.describe({row}) raised {error}{error_place(error)}") from error
    if not isinstance(example, Example):
        raise InvalidTask(
            f"expected Task.describe({row}) to return a byline.api.example.Example, got {type(example).__name__}"
        )
    try:
        owner = (spellings or OwnerSpellings()).label(example.owner)
    except InvalidInput as error:
        raise InvalidTask(f"Task.describe({row}): {error}") from error
    return example if owner == example.owner else example.model_copy(update={"owner": owner})


def collate_items(task: Task, items: Sequence[Item], device: torch.device = CPU) -> Batch:
    """Make a batch on a device.

    Args:
        task: The Task, with `collate`.
        items: Complete items of the data set's kind.
        device: Device of the batch.

    Raises:
        InvalidTask: `Task.collate` fails. The message names the row where the items were read by their rows.
    """
    with faulty_item_named(items, lambda item: task.collate([item])):
        batch = task.collate(list(items))
    return to_device(batch, device)


def item_text(task: Task, item: Item) -> str:
    """Ask the Task what an item says.

    Raises:
        InvalidTask: It declares no text, or returns something else.
    """
    return _word(task.text, item, "Task.text")


def item_label(task: Task, item: Item) -> str:
    """Ask the Task what an item's class is called.

    Raises:
        InvalidTask: It declares no label, or returns something else.
    """
    return _word(task.label, item, "Task.label")


def _word(ask: Callable[[Item], str] | None, item: Item, name: str) -> str:
    found: Any = ask(item) if ask is not None else None
    if not isinstance(found, str):
        raise InvalidTask(f"expected {name} to return a str, got a {type(found).__name__}")
    return found


@contextmanager
def faulty_item_named(items: Sequence[Item], alone: Callable[[Item], object]) -> Iterator[None]:
    """Name the item that is at fault where something fails on a batch.

    Args:
        items: The processed items. Nothing is named where they do not know their rows.
        alone: The same process for one item.

    Yields:
        Nothing.

    Raises:
        BylineError: The error that was met, of the same class and with the row's name; of Task code that raised anything
            else, `InvalidTask`.
    """
    try:
        yield
    except (torch.AcceleratorError, *OUT_OF_MEMORY):
        raise  # nothing more can be computed, or the data are not at fault
    except Exception as error:
        if not isinstance(items, NamedItems) or (len(items) == 1 and isinstance(error, UnsupportedModel)):
            raise
        found = _at_fault(items, error, alone)
        if found is None:
            raise
        name, own = found
        if str(own).startswith(f"{name}: "):
            raise
        if isinstance(own, UnsupportedModel) and isinstance(own.__cause__, Exception):
            own = own.__cause__  # the model takes other items: this one is at fault
        if isinstance(own, BylineError):
            raise type(own)(f"{name}: {own}") from error
        raise InvalidTask(
            f"{name}: the Task's code raised {error_text(own)}{error_place(own)}: {REPAIR}"
        ) from error


def _at_fault(
    items: NamedItems, error: Exception, alone: Callable[[Item], object]
) -> tuple[str, Exception] | None:
    """The first item that fails alone. None where all of several do, since then it is not the item's fault."""
    if len(items) == 1:
        return items.names[0], error
    failed: tuple[str, Exception] | None = None
    passed = False
    for name, item in zip(items.names, items, strict=True):
        try:
            alone(item)
            passed = True
        except Exception as own:  # any error here is this item's
            failed = failed or (name, own)
        if passed and failed:
            return failed
    return None


def refuse_non_finite_rows(values_ND: Tensor, items: Sequence[Item], what: str) -> None:
    """Refuse NaN and infinity in what was computed of items.

    Args:
        values_ND: A row of numbers an item.
        items: As `read_items` made them.
        what: Names the numbers.

    Raises:
        InvalidTask: A number is none. The message names the row.
    """
    bad = (~values_ND.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if bad:
        name = f"{items.names[bad[0]]}: " if isinstance(items, NamedItems) else ""
        raise InvalidTask(f"{name}expected {what} of finite numbers, got NaN or infinity: {REPAIR}")
