"""One member of an ensemble as a network: weights loaded, mask planned, gradients checked."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Self

import torch
from torch import Tensor, nn

from byline.curvature.labels import Labels
from byline.curvature.products import Matrix, ggn_products, hessian_products
from byline.errors import NonFiniteGradient
from byline.gradients.collector import GradientCollector, refuse_non_finite, require_values
from byline.gradients.masks.mask import DropoutMask, stack_masks
from byline.gradients.masks.plan import MaskPlan
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.tensors import dense_gradients, flat_vectors, parameter_tensors
from byline.gradients.pass_log import PassReport
from byline.gradients.passes.assembly import summed_gradient
from byline.gradients.report import ParameterReport
from byline.members import Member
from byline.models.device import Compute
from byline.models.label_gradients import LabelGradients
from byline.models.network import Checks, load_collector, make_mask_plan, remember_check
from byline.models.pass_memory import PassCost, factor_bytes, return_memory, saved_bytes
from byline.models.passes import MemberPasses, require_outputs
from byline.models.position_slopes import position_slopes
from byline.models.training_points import faulty_item_named
from byline.recipes import Recipe
from byline.task import Batch, Item, Objective, Task, TrainSet


class MemberModel:
    """One member's model, ready to be differentiated. Members with the same weights may share the collector."""

    def __init__(
        self, task: Task, collector: GradientCollector, mask: DropoutMask | None, compute: Compute
    ) -> None:
        self._passes = MemberPasses(task, collector, mask, compute)
        self._mask_plan: Callable[[], MaskPlan] = cache(
            partial(make_mask_plan, task, collector.model, compute)
        )

    @classmethod
    def load(
        cls,
        task: Task,
        recipe: Recipe,
        member: Member,
        compute: Compute | None = None,
        sibling: "MemberModel | None" = None,
        checks: Checks | None = None,
    ) -> Self:
        """Load a member's weights and check that its gradients are exact.

        Args:
            task: Declares the model and its checkpoints.
            recipe: Names the signal and the masks' rate.
            member: Which checkpoint, which adapter, which mask.
            compute: Device and precision.
            sibling: A member with the same weights (`Member.same_model`), whose model is used again.
            checks: Results of earlier checks. None checks now.

        Returns:
            The member.

        Raises:
            InvalidTask: The weights do not fit the model.
            InvalidRecipe: The member has a mask, and the model nothing that a mask drops.
            UnsupportedModel: Gradients cannot be taken example by example, or it is unclear what a mask drops.
        """
        compute = compute or Compute()
        collector = (
            load_collector(task, recipe, member, compute, checks)
            if sibling is None
            else sibling._passes.collector
        )
        return_memory()  # a check's graphs are gone
        loaded = cls(task, collector, None, compute)
        if sibling is not None:
            loaded._mask_plan = sibling._mask_plan
        if member.mask_seed is not None:
            rate, plan = recipe.members.mask_rate, loaded._mask_plan()
            loaded._passes.mask = DropoutMask(collector.model, member.mask_seed, rate, plan)
        return loaded

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode, frozen."""
        return self._passes.collector.model

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Attributed parameter blocks."""
        return self._passes.collector.blocks

    @property
    def report(self) -> ParameterReport:
        """Report of attributed, unused and frozen parameters."""
        return self._passes.collector.report()

    def read_passes(self) -> PassReport:
        """Report what passes met since the last reading, by this member and by those that share its model."""
        return self._passes.collector.log.read()

    @property
    def train_set(self) -> TrainSet:
        """The model's training set."""
        return self._passes.task.train_set

    @property
    def compute(self) -> Compute:
        """Device and precision of its passes."""
        return self._passes.compute

    def remember(self, checks: Checks, member: Member) -> None:
        """Hand the result of the check of this model to a cache.

        Args:
            checks: The cache.
            member: The member that this is the model of.
        """
        remember_check(checks, self._passes.collector, member, self.compute)

    @property
    def task(self) -> Task:
        """The Task that declares the model."""
        return self._passes.task

    def gradients(self, items: Sequence[Item], target: str = "loss") -> BatchGradients:
        """Differentiate the loss, or a negated target, for every item.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            Values and gradients of the batch.

        Raises:
            InvalidTask: There is no such target, or it does not return one value an example.
            NonFiniteGradient: A gradient is NaN or infinite.
        """
        return self._passes.gradients(items, target)

    def settle(self) -> None:
        """Compare no more batches with examples alone, for a trial whose time stands for a long build's."""
        self._passes.collector.settled = True

    def pass_cost(self, item: Item, target: str = "loss") -> PassCost:
        """Count the bytes that a gradient of one item takes beside the model, and time it.

        Args:
            item: A complete item of the data set's kind.
            target: `"loss"` or one of the Task's targets.
        """
        batch, objective = self._passes.batch([item]), self._passes.task.objective(target)
        with self._passes.within(), self._passes.collector.differentiable():
            kept = saved_bytes(self.model, lambda: objective(self.model, batch))
        start = time.perf_counter()
        gradients = self.gradients([item], target)
        return PassCost(kept + factor_bytes(gradients), time.perf_counter() - start)

    def whole_gradients(self, items: Sequence[Item], target: str = "loss") -> BatchGradients:
        """Differentiate every item without the mask; as `gradients` in everything else.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            Values and gradients of the batch.
        """
        return self._passes.gradients(items, target, masked=False)

    def masked_gradients(
        self, others: "Sequence[MemberModel]", items: Sequence[Item], target: str = "loss"
    ) -> list[BatchGradients]:
        """Differentiate every item under the masks of several members of this model, in one pass.

        Args:
            others: Members that share this model, each with a mask.
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            What `gradients` of each would return, to rounding.

        Raises:
            UnsupportedModel: A dropout module does not see the copies of the batch one after the other.
        """
        masks = [other._passes.mask for other in others if other._passes.mask is not None]
        count = len(items) * len(masks)
        with (
            faulty_item_named(items, lambda item: self.masked_gradients(others, [item], target)),
            self._passes.precision(),
        ):
            batch = self._passes.batch([*items] * len(masks))
            found = self._passes.collector.collect(
                self._passes.task.objective(target), batch, count, stack_masks(masks, self.model)
            )
        return [found.examples(slice(n, n + len(items))) for n in range(0, count, len(items))]

    def group_gradient(
        self, batches: Iterable[tuple[Sequence[Item], Tensor]], target: str = "loss"
    ) -> BatchGradients:
        """Differentiate the weighted sum of the loss, or of a negated target, over a group's items.

        Args:
            batches: Items of the group, and what each one's value is multiplied by, [N].
            target: `"loss"` or one of the Task's targets.

        Returns:
            A batch of one: the group.

        Raises:
            NonFiniteGradient: The sum, or its gradient, is NaN or infinite.
        """
        objective = self._passes.task.objective(target)
        added: dict[str, Tensor] = {}
        for items, weights_N in self._summable(objective, batches):
            batch = self._passes.batch(items)

            def total(batch: Batch = batch, weights_N: Tensor = weights_N) -> Tensor:
                with self._passes.within():
                    values_N = require_values(objective(self.model, batch), len(weights_N))
                    return (values_N * weights_N.to(values_N)).sum()

            with faulty_item_named(items, lambda item: self.gradients([item], target)):
                part = summed_gradient(self.model, self.blocks, total)
                refuse_non_finite(dense_gradients(self.blocks, part))
            added = {name: added[name] + tensor if added else tensor for name, tensor in part.items()}
        gradients = dense_gradients(self.blocks, added)
        refuse_non_finite(gradients)
        self._passes.collector.log.note_gradients(gradients, self._passes.collector.unused, self.blocks)
        return gradients

    def values(self, items: Sequence[Item], target: str = "loss") -> Tensor:
        """Compute the loss, or a negated target, of every item: a forward pass and nothing more.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            objective_N, on the model's device.

        Raises:
            InvalidTask: There is no such target, or it does not return one value an example.
            NonFiniteGradient: A value is NaN or infinite.
        """
        objective = self._passes.task.objective(target)
        if len(items) > 1 and not self._passes.independent(objective, items):
            return torch.cat([self.values([item], target) for item in items])
        with faulty_item_named(items, lambda item: self.values([item], target)):
            batch = self._passes.batch(items)
            with torch.no_grad(), self._passes.within():
                values_N = require_values(objective(self.model, batch), len(items))
            if not bool(values_N.isfinite().all()):
                raise NonFiniteGradient("the loss or target is NaN or infinite")
            return values_N

    def position_slopes(
        self, item: Item, target: str, directions_1P: Iterable[Tensor], *, masked: bool = True
    ) -> list[Tensor]:
        """Differentiate each position's part of the loss, or of a negated target, along directions in the parameters.

        Args:
            item: Complete item of the data set's kind.
            target: `"loss"` or one of the Task's targets.
            directions_1P: Numbers of all attributed parameters, block after block, [1, P] each. Read one at a time.
            masked: Whether the mask is on.

        Returns:
            float64 [T] for each direction, on the CPU. They add up to the value's own derivative.

        Raises:
            InvalidTask: The Task does not declare its positions, or not for this target.
            UnsupportedModel: The model cannot be differentiated twice.
        """
        return position_slopes(self._passes, item, target, directions_1P, masked=masked)

    def products(self, items: Sequence[Item], vectors_VP: Tensor, matrix: Matrix) -> Tensor:
        """Multiply the curvature matrix of the items' summed loss by vectors.

        Args:
            items: Complete items of the data set's kind.
            vectors_VP: Numbers of all attributed parameters, block after block, as in `BatchGradients.dense`.
            matrix: The Hessian, or the Gauss-Newton matrix, which needs `Task.outputs`.

        Returns:
            float64 [V, P], on the model's device.

        Raises:
            InvalidTask: The Task does not declare its outputs.
            NonFiniteGradient: An item's gradient is NaN or infinite. Large vectors alone give products that are not finite.
            UnsupportedModel: The model cannot be differentiated twice.
        """
        if len(items) > 1 and not self._passes.independent(self._passes.task.loss, items):
            return torch.stack([self.products([item], vectors_VP, matrix) for item in items]).sum(dim=0)
        batch = self._passes.batch(items)
        vectors = parameter_tensors(self.blocks, vectors_VP.to(self._passes.compute.device))

        def total() -> Tensor:
            with self._passes.within():
                return require_values(self._passes.task.loss(self.model, batch), len(items)).sum()

        with faulty_item_named(items, lambda item: self.gradients([item])):
            if matrix == "hessian":
                found = hessian_products(self.model, total, vectors)
            else:
                outputs = require_outputs(self._passes.task)
                found = ggn_products(
                    self.model,
                    lambda: self._passes.outputs(outputs, batch),
                    lambda z: outputs.loss(z, batch).sum(),
                    vectors,
                )
        products_VP = flat_vectors(self.blocks, found).double()
        if not bool(products_VP.isfinite().all()):
            self.gradients(items)  # whether the items or the vectors are at fault
        return products_VP

    def _summable(
        self, objective: Objective, batches: Iterable[tuple[Sequence[Item], Tensor]]
    ) -> Iterator[tuple[Sequence[Item], Tensor]]:
        """Batches whose summed loss is the sum of their items' own: single items where a value depends on the batch.

        Yields:
            Items, and what each one's value is multiplied by.
        """
        for items, weights_N in batches:
            if self._passes.independent(objective, items):
                yield items, weights_N
            else:
                yield from (([item], weights_N[n : n + 1]) for n, item in enumerate(items))

    def share_weights(self, other: "MemberModel") -> None:
        """Keep no second copy of weights that another member has too, as those below adapters. Both are frozen."""
        theirs = dict(other.model.named_parameters())
        for name, parameter in self.model.named_parameters():
            if name in theirs and torch.equal(parameter, theirs[name]):
                parameter.data = theirs[name].data

    def label_gradients(
        self, items: Sequence[Item], rows_N: Tensor, labels: Labels
    ) -> Iterator[BatchGradients]:
        """Differentiate the loss at the labels that a curvature is fitted with. See `LabelGradients.at_labels`."""
        return LabelGradients(self._passes).at_labels(items, rows_N, labels)

    def expected_gradients(self, items: Sequence[Item], labels: Labels) -> Iterator[BatchGradients]:
        """Differentiate the loss for each item's own expected curvature. See `LabelGradients.expected`."""
        return LabelGradients(self._passes).expected(items, labels)
