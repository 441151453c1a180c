"""Gradients of items that are not collated yet: in one pass for all where that is exact, one at a time elsewhere.

An item's shape says whether a batch of it is padded. Padded batches and some others are compared with one item alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from byline.errors import UnsupportedModel
from byline.gradients.capture.faults import InseparableError
from byline.gradients.collector import GradientCollector, Within
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient
from byline.task import Batch, Item, Objective

TOLERANCE = 2e-3
"""Difference in units of a block's gradient that is rounding."""
OF_THE_WHOLE = 1e-4
"""Difference in units of the whole gradient that is rounding: blocks whose gradient nearly vanishes are differences
of large numbers."""
_ENTRIES = 1 << 20
ENOUGH = 8
"""Padded batches that are compared with an item alone: a loss depends on padding always, or never."""
MOST_PARTS = 16
"""Parts of a list that are looked at one by one. A longer list is a sequence, whose length counts."""
Shape = Any
"""Nested tuples of numbers; equal for items that need no padding beside each other."""


def item_shape(item: Item) -> Shape:
    """Collect the shapes of an item's tensors and the lengths of its sequences."""
    if isinstance(item, Tensor) or hasattr(item, "__array_interface__"):
        return tuple(item.shape)
    if isinstance(item, str | bytes):
        return len(item)
    if isinstance(item, Mapping):
        return tuple(item_shape(part) for part in item.values())
    if isinstance(item, list | tuple):
        if len(item) > MOST_PARTS or all(isinstance(part, int | float) for part in item):
            return len(item)
        return tuple(item_shape(part) for part in item)
    return (
        tuple(item_shape(part) for part in vars(item).values())
        if hasattr(item, "__dataclass_fields__")
        else None
    )


def size(shape: Shape) -> int:
    """Add up all numbers of a shape: items are ordered by this sum."""
    if isinstance(shape, tuple):
        return sum(map(size, shape))
    return shape if isinstance(shape, int) else 0


def shortest(items: Sequence[Item]) -> int | None:
    """Find the place of the shortest item. None where all have the same shape."""
    shapes = [item_shape(item) for item in items]
    if all(shape == shapes[0] for shape in shapes):
        return None
    return min(range(len(items)), key=lambda place: size(shapes[place]))


def same_gradients(one: BatchGradients, other: BatchGradients, rounding: float = 0.0) -> bool:
    """Compare gradients block by block, some rows at a time, so that no whole gradient is in memory.

    Args:
        one: Gradients of a model.
        other: Gradients of the same examples.
        rounding: Relative rounding of the passes' precision, where it is coarser than float32.
    """
    total_N = torch.stack([g.squared_norms() for g in one.blocks.values()]).sum(dim=0).clamp_min(0).sqrt()
    coarse = max(rounding, 4 * torch.finfo(one.objective_N.dtype).eps)
    return all(
        _differences(gradient, other.blocks[name])
        <= max(TOLERANCE, coarse) * _length(gradient)
        + max(OF_THE_WHOLE, coarse) * float(total_N.norm())
        + 1e-30
        for name, gradient in one.blocks.items()
    )


def _length(gradient: KroneckerGradient) -> float:
    return float(gradient.squared_norms().clamp_min(0).sum().sqrt())


def _differences(one: KroneckerGradient, other: KroneckerGradient) -> float:
    rows, columns = one.shape
    step = max(1, _ENTRIES // columns)
    parts = [
        (one.rows(start, min(start + step, rows)) - other.rows(start, min(start + step, rows))).norm()
        for start in range(0, rows, step)
    ]
    return float(torch.stack(parts).norm())


class ItemPasses:
    """Differentiates items that are not collated yet, so that any of them can be taken alone.

    Args:
        collector: The model's collector.
        batch_of: Collates items.
    """

    def __init__(self, collector: GradientCollector, batch_of: Callable[[Sequence[Item]], Batch]) -> None:
        self._collector, self._batch_of = collector, batch_of
        self._batches = 0
        self._padded = 0

    def independent(self, objective: Objective, items: Sequence[Item], within: Within) -> bool:
        """Tell whether items have the same values in a batch as alone, so that a batch serves them all.

        Padding is what makes them differ: of the first padded batches, the shortest item is run alone too.

        Args:
            objective: `(model, batch) -> values_N`.
            items: Complete items of the data set's kind.
            within: Makes what is active around each forward pass.
        """
        if not self._collector.independent:
            return False
        place = self._doubtful(items)
        if place is None:
            return True
        with torch.no_grad(), within():
            beside = objective(self._collector.model, self._batch_of(items))[place]
        return self._equal_alone(objective, items[place], beside, within)

    def _doubtful(self, items: Sequence[Item]) -> int | None:
        """Find the item of a padded batch that is run alone. None where the batch needs no comparison."""
        checks = len(items) > 1 and self._padded < ENOUGH and not self._collector.settled
        return shortest(items) if checks else None

    def _equal_alone(self, objective: Objective, item: Item, beside: Tensor, within: Within) -> bool:
        """Compare an item's value in a batch with its value alone."""
        with torch.no_grad():
            with within():
                alone = objective(self._collector.model, self._batch_of([item]))[0]
            with within():
                allowed = max(1e-3, self._collector.rounding) * (float(alone.abs()) + 1e-3)
        if not float((beside - alone).abs()) <= allowed and bool(alone.isfinite()):
            self._collector.log.note_batch("an example's value depends on the padding of its batch")
            return False
        self._padded += 1
        return True

    def gradients(self, objective: Objective, items: Sequence[Item], within: Within) -> BatchGradients:
        """Differentiate an objective for every item.

        Args:
            objective: `(model, batch) -> values_N`.
            items: Complete items of the data set's kind.
            within: Makes what is active around each forward pass.

        Returns:
            Values and gradients, in the items' order.

        Raises:
            UnsupportedModel: An item's gradient in a batch differs from its gradient alone.
        """
        collector = self._collector
        if len(items) > 1 and collector.separation is not None and collector.independent:
            try:
                with within():
                    found = collector.collect_batch(objective, self._batch_of(items), len(items))
                place = self._doubtful(items)
                if place is None or self._equal_alone(
                    objective, items[place], found.objective_N[place], within
                ):
                    self._check_alone(objective, items, found, within)
                    return found
            except InseparableError as error:
                collector.log.note_batch(str(error))
        return collector.one_by_one(objective, (self._batch_of([item]) for item in items), within)

    def _check_alone(
        self, objective: Objective, items: Sequence[Item], found: BatchGradients, within: Within
    ) -> None:
        """Hold one item of a batch against itself alone.

        This is done with the 1st, 2nd, 4th, 8th ... batch, so that it costs little, and with each that the model computes
        in another way than all before it.

        Raises:
            UnsupportedModel: They differ.
        """
        self._batches += 1
        # n & (n - 1) is zero for powers of two.
        usual = self._collector.settled or self._batches & (self._batches - 1)
        if usual and not self._collector.fresh:
            return
        place = (self._batches * 7 + 1) % len(items)
        alone = self._collector.collect(objective, self._batch_of([items[place]]), 1, within())
        with within():
            rounding = self._collector.rounding
        if not same_gradients(found.examples(slice(place, place + 1)), alone, rounding):
            raise UnsupportedModel(
                f"the gradient of example {place} of a batch of {len(items)} differs from its gradient alone: the "
                f"examples of a batch meet in the model or in its loss; set build.batch_rows = 1, which is always exact"
            )
