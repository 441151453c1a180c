"""Gradients of items: in one pass for all where that is exact, one at a time elsewhere, and checked on the way."""

from collections.abc import Callable, Sequence

from byline.errors import UnsupportedModel
from byline.gradients.agreement import same_gradients
from byline.gradients.collector import GradientCollector, Within
from byline.gradients.factors import BatchGradients
from byline.gradients.together import InseparableError
from byline.task import Batch, Item, Objective


class ItemPasses:
    """Differentiates items that are not collated yet, so that any of them can be taken alone.

    Args:
        collector: Of the model.
        batch_of: Collates items.
    """

    def __init__(self, collector: GradientCollector, batch_of: Callable[[Sequence[Item]], Batch]) -> None:
        self._collector, self._batch_of = collector, batch_of
        self._batches = 0

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
        if len(items) > 1 and collector.separation is not None:
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
        if not same_gradients(found.examples(slice(place, place + 1)), alone):
            raise UnsupportedModel(
                f"the gradient of example {place} of a batch of {len(items)} differs from its gradient alone: the "
                f"loss depends on the other examples, such as on the length that they are padded to; average over an "
                f"example's own positions, or set build.batch_rows = 1"
            )
