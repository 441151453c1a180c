"""What a Task yields: digests of a few training points, and the loss and every target of one, by the first member's model.

A Task's code says nothing of what it reads: a configuration file, an installed package, a processor. An opened index is
held against the values of its build.
"""

import math
from collections.abc import Sequence

from byline.digests import content_digest
from byline.errors import NonFiniteGradient, StaleIndex
from byline.index.layout import ProbeRecord
from byline.models.item_passes import item_shape, size
from byline.models.member import MemberModel
from byline.models.network import probed_rows
from byline.models.training_points import read_items
from byline.progress import count_items
from byline.task import Item

ENOUGH = 16
"""Numbers of an item that say enough: about the smallest such item is evaluated, since a pass over it is cheap."""
FEW = 4
"""Items, the smallest of the cheap ones, from which the one with the largest loss is taken."""
_SHORT = 16
DIGITS = 4
"""Significant digits that are kept."""
TOLERANCE = {"float32": 0.01, "bfloat16": 0.05}
"""Largest difference by the build's precision, in units of the value."""
_SMALLEST = {"float32": 0.1, "bfloat16": 1.0}
"""Value of a target below which differences are rounding: a margin near zero is a difference of large numbers."""
_SMALLEST_LOSS = 0.1
"""The same of a loss, in units of a target's: a small loss is made of small errors."""


def probe(member: MemberModel) -> ProbeRecord:
    """Evaluate the Task's objectives on one of a few training points.

    Args:
        member: The first member, loaded.

    Returns:
        Rows, digests of their items, and values. An objective that is not finite there is left out.
    """
    task = member.task
    rows = probed_rows(task)
    items = read_items(task.train_set, rows)
    cheap = _cheap([size(item_shape(item)) for item in items])
    losses = [_value(member, items[place], "loss") for place in count_items(None, cheap)]
    place = cheap[losses.index(max(losses, key=_size))]  # of a loss near zero no change of it could be seen
    values = {target: _value(member, items[place], target) for target in ("loss", *sorted(task.targets))}
    return ProbeRecord(
        items={row: content_digest(item).hex()[:_SHORT] for row, item in zip(rows, items, strict=True)},
        row=rows[place],
        values={t: float(f"{v:.{DIGITS - 1}e}") for t, v in values.items() if v is not None},
        precision=member.compute.precision,
    )


def require_probe(member: MemberModel, record: ProbeRecord, *, data: bool) -> None:
    """Require that a Task yields what it did when an index was built.

    Args:
        member: The first member, loaded.
        record: Of the build.
        data: Whether the training points must be there and be the same. Otherwise the values are compared where the point
            is the same.

    Raises:
        StaleIndex: A training point, the loss or a target is another.
    """
    for row in record.items if data else ():
        if _same_item(member, row, record) is None:
            raise StaleIndex(
                f"training point {row} is not the one that this index was built from: rebuild the index, or restore the "
                f"training set"
            )
    item = _same_item(member, record.row, record)
    for target, value in record.values.items() if item is not None else ():
        found = _value(member, item, target) if target in {"loss", *member.task.targets} else None
        difference = math.inf if found is None else abs(found - value)
        if difference > _allowed(target, value, record.precision):
            raise StaleIndex(_changed(target, record, found))


def _changed(target: str, record: ProbeRecord, found: float | None) -> str:
    name = "loss" if target == "loss" else f"negated target '{target}'"
    shown = "none" if found is None else f"{found:.4g}"
    return (
        f"the {name} of training point {record.row} was {record.values[target]:.4g} when this index was built, and is "
        f"{shown}: the model, or what its code reads (a configuration, an installed package), changed; rebuild the index, "
        f"or restore it"
    )


def _allowed(target: str, value: float, precision: str) -> float:
    """Say how far a value may be from that of the build."""
    smallest = _SMALLEST[precision] * (_SMALLEST_LOSS if target == "loss" else 1.0)
    return TOLERANCE[precision] * max(smallest, abs(value))


def _cheap(sizes: Sequence[int]) -> list[int]:
    """Choose the smallest items of those that say enough, up to twice the size; the largest ones where none does."""
    enough = [each for each in sizes if each >= ENOUGH]
    least, most = (min(enough), 2 * min(enough)) if enough else (max(sizes), max(sizes))
    cheap = sorted((p for p, each in enumerate(sizes) if least <= each <= most), key=lambda p: sizes[p])
    return cheap[:FEW]


def _size(value: float | None) -> float:
    return -math.inf if value is None else abs(value)


def _same_item(member: MemberModel, row: int, record: ProbeRecord) -> Item | None:
    if row >= len(member.train_set):
        return None
    item = read_items(member.train_set, [row])[0]
    return item if content_digest(item).hex().startswith(record.items[row]) else None


def _value(member: MemberModel, item: Item, target: str) -> float | None:
    try:
        return float(member.values([item], target)[0])
    except NonFiniteGradient:
        return None
