"""Gradients of one member at the labels that a curvature is fitted with: the data's, the model's draws, or every class.

Shapes: N examples.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from byline.curvature.labels import (
    Labels,
    can_list_labels,
    content_keys,
    every_label,
    gaussian_weights,
    sampled_labels,
)
from byline.gradients.capture.faults import InseparableError
from byline.gradients.outer_products.concatenation import concatenate_batches
from byline.gradients.outer_products.factors import BatchGradients
from byline.models.passes import MemberPasses, require_outputs
from byline.models.training_points import faulty_item_named
from byline.task import Batch, Item, Objective, Outputs


class LabelGradients:
    """Differentiates a member's loss at other labels than the data's.

    Args:
        passes: Passes of the member.
    """

    def __init__(self, passes: MemberPasses) -> None:
        self._passes = passes

    def at_labels(self, items: Sequence[Item], rows_N: Tensor, labels: Labels) -> Iterator[BatchGradients]:
        """Differentiate the loss at the labels that a curvature is fitted with, times the roots of their probabilities.

        Args:
            items: Complete items of the data set's kind.
            rows_N: int64, their rows in the training set, which seed the draws.
            labels: Labels of the gradients.

        Yields:
            Gradients of the whole batch: once for given and sampled labels, once a class for exact ones.

        Raises:
            InvalidTask: The Task does not declare its outputs, or they have too many labellings to list.
        """
        if labels == "given":
            yield self._passes.gradients(items)
            return
        yield from self._at_labels(items, rows_N, lambda _outputs, _z: labels)

    def expected(self, items: Sequence[Item], labels: Labels) -> Iterator[BatchGradients]:
        """Differentiate the loss so that the outer products of each item add up to the item's own expected curvature.

        A draw that serves a fit over all points is far too little for one of them: identical points would get leverages
        that are several times as large as each other's. So all classes are listed, as many as `MOST_LISTED`. Beyond, and
        for sequences, the draw is seeded by the item's content.

        Args:
            items: Complete items of the data set's kind.
            labels: Labels that the curvature is fitted with.

        Yields:
            Gradients of the whole batch: once, or once a class.

        Raises:
            InvalidTask: The Task does not declare its outputs, or they have too many labellings to list.
        """
        if labels == "given":
            yield self._passes.gradients(items)
            return
        yield from self._at_labels(
            items, content_keys(items), lambda outputs, z: "exact" if can_list_labels(outputs, z) else labels
        )

    def _at_labels(
        self, items: Sequence[Item], keys_N: Tensor, choose: Callable[[Outputs, Tensor], Labels]
    ) -> Iterator[BatchGradients]:
        """Differentiate the loss at other labels than the data's.

        Args:
            items: Complete items of the data set's kind.
            keys_N: int64, what seeds the draw of each.
            choose: Says whose labels, of the Task's outputs and their values for the items.

        Yields:
            Gradients of the whole batch.
        """
        done = 0
        if len(items) == 1 or self._passes.independent(self._passes.task.loss, items):
            try:
                for found in self._labeled_batch(items, keys_N, choose):
                    yield found
                    done += 1
                return
            except InseparableError as error:
                if self._passes.collector.separation is not None:
                    self._passes.collector.log.note_batch(str(error))
        singles = [list(self._at_labels([item], keys_N[n : n + 1], choose)) for n, item in enumerate(items)]
        yield from (concatenate_batches(parts) for parts in list(zip(*singles, strict=True))[done:])

    def _labeled_batch(
        self, items: Sequence[Item], keys_N: Tensor, choose: Callable[[Outputs, Tensor], Labels]
    ) -> Iterator[BatchGradients]:
        """Differentiate the loss at other labels, in one pass for all items.

        Yields:
            Gradients of the whole batch.

        Raises:
            InseparableError: One pass does not serve them.
        """
        collector, outputs, count = self._passes.collector, require_outputs(self._passes.task), len(items)
        if count > 1 and collector.separation is None:
            raise InseparableError("a batch is not cut into its examples")
        batch = self._passes.batch(items)
        with torch.no_grad():
            z = self._passes.outputs(outputs, batch)
        collect = collector.collect if count == 1 else collector.collect_batch
        for objective, other in self._labeled(outputs, z, batch, keys_N, choose(outputs, z)):
            with (
                faulty_item_named(items, lambda item: self._passes.gradients([item])),
                self._passes.within(),
            ):
                made = collect(objective, other, count)
            yield made

    def _labeled(
        self, outputs: Outputs, z: Tensor, batch: Batch, rows_N: Tensor, labels: Labels
    ) -> Iterator[tuple[Objective, Batch]]:
        """List what is differentiated, so that the gradients' outer products add up to the curvature.

        Yields:
            An objective, and the batch that it is taken of.
        """
        if labels == "exact" and outputs.kind == "gaussian":
            weights_N = gaussian_weights(outputs, z, batch)
            yield lambda model, own: weights_N * outputs.compute(model, own), batch
            return
        drawn = [sampled_labels(outputs, z, batch, rows_N)] if labels == "sampled" else every_label(z)
        for each in drawn:
            weights_N = each.weights_N
            yield partial(_weighted, self._passes.task.loss, weights_N), outputs.relabel(batch, each.labels)


def _weighted(loss: Objective, weights_N: Tensor, model: nn.Module, batch: Batch) -> Tensor:
    return weights_N * loss(model, batch)
