"""Passes of one member's network over items: collated, on its device, in its precision and under its mask."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from byline.errors import InvalidTask
from byline.gradients.collector import GradientCollector
from byline.gradients.masks.mask import DropoutMask
from byline.gradients.outer_products.factors import BatchGradients
from byline.models.device import Compute
from byline.models.item_passes import ItemPasses
from byline.models.training_points import collate_items, faulty_item_named
from byline.task import Batch, Item, Objective, Outputs, Task


class MemberPasses:
    """Runs one member's network on items.

    Args:
        task: Declares the objectives and collates items.
        collector: Differentiates the network.
        mask: The member's dropout mask. None leaves the network whole.
        compute: Device and precision.
    """

    def __init__(
        self, task: Task, collector: GradientCollector, mask: DropoutMask | None, compute: Compute
    ) -> None:
        self.task, self.collector, self.mask, self.compute = task, collector, mask, compute
        # A partial of a function, no method: a cycle of references would keep the weights of a member that is replaced.
        self._items = ItemPasses(collector, partial(_collated, task, compute))

    def gradients(
        self, items: Sequence[Item], target: str = "loss", *, masked: bool = True
    ) -> BatchGradients:
        """Differentiate the loss, or a negated target, for every item.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.
            masked: Whether the mask is on.
        """
        with faulty_item_named(items, lambda item: self.gradients([item], target, masked=masked)):
            within = self.within if masked else self.precision
            return self._items.gradients(self.task.objective(target), items, within)

    def independent(self, objective: Objective, items: Sequence[Item]) -> bool:
        """Tell whether items have the same values in a batch as alone, so that a batch serves them all."""
        with faulty_item_named(items, lambda item: self.gradients([item])):
            return self._items.independent(objective, items, self.within)

    def batch(self, items: Sequence[Item]) -> Batch:
        """Collate items on the network's device."""
        with faulty_item_named(items, lambda item: self.gradients([item])):
            return collate_items(self.task, items, self.compute.device)

    def outputs(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Compute the network's outputs in full precision, under the mask."""
        with self.within():
            z = outputs.compute(self.collector.model, batch)
        return z.float() if z.dtype in {torch.bfloat16, torch.float16} else z

    def precision(self) -> torch.autocast:
        """Make the context of the network's precision."""
        bfloat16 = self.compute.precision == "bfloat16"
        # Without the cache, autograd sees every use of a parameter and not its first cast alone.
        return torch.autocast(
            self.compute.device.type, dtype=torch.bfloat16, enabled=bfloat16, cache_enabled=False
        )

    @contextmanager
    def within(self) -> Iterator[None]:
        """Run the block in the network's precision and under the mask."""
        with self.precision():
            if self.mask is None:
                yield
            else:
                with self.mask.active():
                    yield


def _collated(task: Task, compute: Compute, items: Sequence[Item]) -> Batch:
    return collate_items(task, items, compute.device)


def require_outputs(task: Task) -> Outputs:
    """Take the Task's outputs.

    Raises:
        InvalidTask: It declares none.
    """
    if task.outputs is None:
        raise InvalidTask(
            "expected Task.outputs, which this recipe's curvature needs, got None: declare how the model predicts "
            "(byline.task.Outputs), or take labels = 'given' and recipes without Gauss-Newton products"
        )
    return task.outputs
