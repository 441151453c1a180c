"""Gradients of items: in one pass for all where that is exact, one at a time elsewhere, and checked on the way."""

from collections.abc import Callable, Sequence

import torch

from byline.errors import UnsupportedModel
from byline.gradients.agreement import same_gradients
from byline.gradients.collector import GradientCollector, Within
from byline.gradients.factors import BatchGradients
from byline.gradients.faults import InseparableError
from byline.gradients.item_shapes import shortest
from byline.task import Batch, Item, Objective

ENOUGH = 8
"""Padded batches that are held against an item alone: a loss depends on padding always, or never."""


class ItemPasses:
    """Differentiates items that are not collated yet, so that any of them can be taken alone.

    Args:
        collector: Of the model.
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
        place = shortest(items) if len(items) > 1 and self._padded < ENOUGH else None
        if place is None:
            return True
        with torch.no_grad():
            with within():
                beside = objective(self._collector.model, self._batch_of(items))[place]
            with within():
                alone = objective(self._collector.model, self._batch_of([items[place]]))[0]
            with within():
                allowed = max(1e-3, self._collector.rounding) * (float(alone.abs()) + 1e-3)
        if not float((beside - alone).abs()) <= allowed and bool(alone.isfinite()):
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
            UnsupportedModel: An item's gradient in a batch is another one than alone.
        """
        collector = self._collector
        together = len(items) > 1 and collector.separation is not None
        if together and self.independent(objective, items, within):
            try:
                with within():
                    found = collector.together(objective, self._batch_of(items), len(items))
                self._check_alone(objective, items, found, within)
                return found
            except InseparableError:
                pass
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
        if self._batches & (self._batches - 1) and not self._collector.fresh:
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
