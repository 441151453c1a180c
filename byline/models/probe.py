"""What a Task yields on a few training points: the loss and every target, of the first member's model.

A Task's code says nothing of what it reads: a configuration file, an installed package, a processor. An opened index is
held against the values of its build.
"""

import math

from byline.digests import content_digest
from byline.errors import NonFiniteGradient, StaleIndex
from byline.index.layout import ProbeRecord
from byline.models.member import MemberModel
from byline.models.network import probed_rows
from byline.models.training_points import read_items
from byline.task import Item

PROBES = 2
"""Training points, spread over the training set."""
DIGITS = 4
"""Significant digits that are kept."""
TOLERANCE = {"float32": 0.01, "bfloat16": 0.05}
"""Largest difference by the build's precision, in units of the value, or of 1 where it is smaller."""


def probe(member: MemberModel) -> ProbeRecord:
    """Evaluate the Task's objectives on a few training points.

    Args:
        member: The first member, loaded.

    Returns:
        Rows, digests of their items, and values. An objective that is not finite there is left out.
    """
    task = member.task
    rows = probed_rows(task, PROBES)
    items = read_items(task.train_set, rows)
    values = {target: _values(member, items, target) for target in ("loss", *sorted(task.targets))}
    return ProbeRecord(
        rows=tuple(rows),
        items=tuple(content_digest(item).hex()[:16] for item in items),
        values={target: found for target, found in values.items() if found is not None},
        precision=member.compute.precision,
    )


def require_probe(member: MemberModel, record: ProbeRecord, *, data: bool) -> None:
    """Require that a Task yields what it did when an index was built.

    Args:
        member: The first member, loaded.
        record: Of the build.
        data: Whether the training points must be there and be the same. Otherwise those that are not are left out.

    Raises:
        StaleIndex: A training point, the loss or a target is another.
    """
    for place, (row, digest) in enumerate(zip(record.rows, record.items, strict=True)):
        item = _same_item(member, row, digest)
        if item is not None:
            _require_values(
                member, item, row, {name: each[place] for name, each in record.values.items()}, record
            )
        elif data:
            raise StaleIndex(
                f"training point {row} is not the one that this index was built from: rebuild the index, or restore the "
                f"training set"
            )


def _values(member: MemberModel, items: list[Item], target: str) -> tuple[float, ...] | None:
    try:
        values_N = member.values(items, target)
    except NonFiniteGradient:
        return None
    return tuple(float(f"{value:.{DIGITS - 1}e}") for value in values_N.tolist())


def _same_item(member: MemberModel, row: int, digest: str) -> Item | None:
    if row >= len(member.train_set):
        return None
    item = read_items(member.train_set, [row])[0]
    return item if content_digest(item).hex().startswith(digest) else None


def _require_values(
    member: MemberModel, item: Item, row: int, expected: dict[str, float], record: ProbeRecord
) -> None:
    for target, value in expected.items():
        found = _values(member, [item], target) if target in {"loss", *member.task.targets} else None
        difference = math.inf if found is None else abs(found[0] - value)
        if difference > TOLERANCE[record.precision] * max(1.0, abs(value)):
            shown = "none" if found is None else f"{found[0]:.4g}"
            name = "loss" if target == "loss" else f"negated target '{target}'"
            raise StaleIndex(
                f"the {name} of training point {row} was {value:.4g} when this index was built, and is {shown}: the model, "
                f"or what its code reads (a configuration, an installed package), changed; rebuild the index, or restore it"
            )
