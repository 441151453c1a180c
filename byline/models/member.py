"""One member of an ensemble as a network: weights loaded, mask planned, gradients checked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Self

import torch
from torch import Tensor, nn

from byline.curvature.labels import (
    Labels,
    content_keys,
    every_label,
    gaussian_weights,
    listed,
    sampled_labels,
)
from byline.curvature.products import Matrix, ggn_products, hessian_products
from byline.errors import InvalidTask, NonFiniteGradient
from byline.gradients.blocks import Block
from byline.gradients.collector import GradientCollector, checked_values, refuse_non_finite
from byline.gradients.concatenation import joined
from byline.gradients.factors import BatchGradients
from byline.gradients.faults import InseparableError
from byline.gradients.masks.mask import DropoutMask, stacked
from byline.gradients.masks.plan import MaskPlan
from byline.gradients.passes.assembly import summed_gradient
from byline.gradients.report import ParameterReport
from byline.gradients.tensors import dense_gradients, flat_vectors, parameter_tensors
from byline.members import Member
from byline.models.adapters import ADAPTER_LAYERS
from byline.models.device import Compute
from byline.models.item_passes import ItemPasses
from byline.models.mask_plan import plan_of
from byline.models.network import load_collector
from byline.models.training_points import collated, naming
from byline.recipes import Recipe
from byline.task import Batch, Item, Objective, Outputs, Task, TrainSet


class MemberModel:
    """One member's model, ready to be differentiated. Members with the same weights may share the collector."""

    def __init__(
        self, task: Task, collector: GradientCollector, mask: DropoutMask | None, compute: Compute
    ) -> None:
        self._task, self._collector, self._mask, self._compute = task, collector, mask, compute
        self._passes = ItemPasses(collector, partial(_collated, task, compute))
        self._mask_plan: Callable[[], MaskPlan] = cache(partial(plan_of, task, collector.model, compute))

    @classmethod
    def load(
        cls,
        task: Task,
        recipe: Recipe,
        member: Member,
        compute: Compute | None = None,
        sibling: "MemberModel | None" = None,
    ) -> Self:
        """Load a member's weights and check that its gradients are exact.

        Args:
            task: Declares the model and its checkpoints.
            recipe: Names the signal and the masks' rate.
            member: Which checkpoint, which adapter, which mask.
            compute: Device and precision.
            sibling: A member with the same weights (`Member.same_model`), whose model is used again.

        Returns:
            The member.

        Raises:
            InvalidTask: The weights do not fit the model.
            InvalidRecipe: The member has a mask, and the model nothing that a mask drops.
            UnsupportedModel: Gradients cannot be taken example by example, or it is unclear what a mask drops.
        """
        compute = compute or Compute()
        collector = sibling._collector if sibling else load_collector(task, recipe, member, compute)
        loaded = cls(task, collector, None, compute)
        if sibling is not None:
            loaded._mask_plan = sibling._mask_plan
        if member.mask_seed is not None:
            rate, plan = recipe.members.mask_rate, loaded._mask_plan()
            loaded._mask = DropoutMask(collector.model, member.mask_seed, rate, plan)
        return loaded

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode, frozen."""
        return self._collector.model

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is attributed."""
        return self._collector.blocks

    @property
    def report(self) -> ParameterReport:
        """What became of the selected parameters."""
        return self._collector.report()

    @property
    def train_set(self) -> TrainSet:
        """What the model was trained on."""
        return self._task.train_set

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
        with naming(items, lambda item: self.gradients([item], target)):
            return self._passes.gradients(self._task.objective(target), items, self._within)

    def whole_gradients(self, items: Sequence[Item], target: str = "loss") -> BatchGradients:
        """Differentiate every item without the mask; as `gradients` in everything else.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            Values and gradients of the batch.
        """
        with naming(items, lambda item: self.whole_gradients([item], target)):
            return self._passes.gradients(self._task.objective(target), items, self._precisely)

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
        masks = [other._mask for other in others if other._mask is not None]
        count = len(items) * len(masks)
        with naming(items, lambda item: self.masked_gradients(others, [item], target)), self._precisely():
            batch = self._batch([*items] * len(masks))
            found = self._collector.collect(
                self._task.objective(target), batch, count, stacked(masks, self.model)
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
        objective = self._task.objective(target)
        added: dict[str, Tensor] = {}
        for items, weights_N in self._summable(objective, batches):
            batch = self._batch(items)

            def total(batch: Batch = batch, weights_N: Tensor = weights_N) -> Tensor:
                with self._within():
                    values_N = checked_values(objective(self.model, batch), len(weights_N))
                    return (values_N * weights_N.to(values_N)).sum()

            with naming(items, lambda item: self.gradients([item], target)):
                part = summed_gradient(self.model, self.blocks, total)
                refuse_non_finite(dense_gradients(self.blocks, part))
            added = {name: added[name] + tensor if added else tensor for name, tensor in part.items()}
        gradients = dense_gradients(self.blocks, added)
        refuse_non_finite(gradients)
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
        objective = self._task.objective(target)
        if len(items) > 1 and not self._independent(objective, items):
            return torch.cat([self.values([item], target) for item in items])
        with naming(items, lambda item: self.values([item], target)):
            batch = self._batch(items)
            with torch.no_grad(), self._within():
                values_N = checked_values(objective(self.model, batch), len(items))
            if not bool(values_N.isfinite().all()):
                raise NonFiniteGradient("the loss or target is NaN or infinite")
            return values_N

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
            NonFiniteGradient: An item's gradient is NaN or infinite; large vectors alone give products that are not finite.
            UnsupportedModel: The model cannot be differentiated twice.
        """
        if len(items) > 1 and not self._independent(self._task.loss, items):
            return torch.stack([self.products([item], vectors_VP, matrix) for item in items]).sum(dim=0)
        batch = self._batch(items)
        vectors = parameter_tensors(self.blocks, vectors_VP.to(self._compute.device))

        def total() -> Tensor:
            with self._within():
                return checked_values(self._task.loss(self.model, batch), len(items)).sum()

        with naming(items, lambda item: self.gradients([item])):
            if matrix == "hessian":
                found = hessian_products(self.model, total, vectors)
            else:
                outputs = declared_outputs(self._task)
                found = ggn_products(
                    self.model,
                    lambda: self._outputs(outputs, batch),
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
            if self._independent(objective, items):
                yield items, weights_N
            else:
                yield from (([item], weights_N[n : n + 1]) for n, item in enumerate(items))

    def _independent(self, objective: Objective, items: Sequence[Item]) -> bool:
        with naming(items, lambda item: self.gradients([item])):
            return self._passes.independent(objective, items, self._within)

    def _batch(self, items: Sequence[Item]) -> Batch:
        with naming(items, lambda item: self.gradients([item])):
            return collated(self._task, items, self._compute.device)

    def _outputs(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The model's outputs in full precision, under this member's mask."""
        with self._within():
            z = outputs.compute(self.model, batch)
        return z.float() if z.dtype in {torch.bfloat16, torch.float16} else z

    def share_weights(self, other: "MemberModel") -> None:
        """Keep no second copy of the weights below an adapter: they are those of a member of the same checkpoint."""
        theirs = dict(other.model.named_parameters())
        for name, parameter in self.model.named_parameters():
            if not ADAPTER_LAYERS.selects(name):
                parameter.data = theirs[name].data

    def label_gradients(
        self, items: Sequence[Item], rows_N: Tensor, labels: Labels
    ) -> Iterator[BatchGradients]:
        """Differentiate the loss at the labels that a curvature is fitted with, times the roots of their probabilities.

        Args:
            items: Complete items of the data set's kind.
            rows_N: int64, their rows in the training set, which seed the draws.
            labels: Whose labels.

        Yields:
            Gradients of the whole batch: once for given and sampled labels, once a class for exact ones.

        Raises:
            InvalidTask: The Task does not declare its outputs, or they have too many labellings to list.
        """
        if labels == "given":
            yield self.gradients(items)
            return
        yield from self._at_labels(items, rows_N, lambda _outputs, _z: labels)

    def expected_gradients(self, items: Sequence[Item], labels: Labels) -> Iterator[BatchGradients]:
        """Differentiate the loss so that the outer products of each item add up to the item's own expected curvature.

        A draw that serves a fit over all points is far too little for one of them: identical points would get leverages
        that are several times as large as each other's. So all classes are listed, as many as `MOST_LISTED`; beyond, and
        for sequences, the draw is seeded by the item's content.

        Args:
            items: Complete items of the data set's kind.
            labels: Whose labels the curvature is fitted with.

        Yields:
            Gradients of the whole batch: once, or once a class.

        Raises:
            InvalidTask: The Task does not declare its outputs, or they have too many labellings to list.
        """
        if labels == "given":
            yield self.gradients(items)
            return
        yield from self._at_labels(
            items, content_keys(items), lambda outputs, z: "exact" if listed(outputs, z) else labels
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
        if len(items) == 1 or self._independent(self._task.loss, items):
            try:
                for found in self._labelled_batch(items, keys_N, choose):
                    yield found
                    done += 1
                return
            except InseparableError:
                pass
        singles = [list(self._at_labels([item], keys_N[n : n + 1], choose)) for n, item in enumerate(items)]
        yield from (joined(parts) for parts in list(zip(*singles, strict=True))[done:])

    def _labelled_batch(
        self, items: Sequence[Item], keys_N: Tensor, choose: Callable[[Outputs, Tensor], Labels]
    ) -> Iterator[BatchGradients]:
        """Differentiate the loss at other labels, in one pass for all items.

        Yields:
            Gradients of the whole batch.

        Raises:
            InseparableError: One pass does not serve them.
        """
        collector, outputs, count = self._collector, declared_outputs(self._task), len(items)
        if count > 1 and collector.separation is None:
            raise InseparableError("a batch is not cut into its examples")
        batch = self._batch(items)
        with torch.no_grad():
            z = self._outputs(outputs, batch)
        collect = collector.collect if count == 1 else collector.together
        for objective, other in self._labelled(outputs, z, batch, keys_N, choose(outputs, z)):
            with naming(items, lambda item: self.gradients([item])), self._within():
                made = collect(objective, other, count)
            yield made

    def _labelled(
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
            yield partial(_weighted, self._task.loss, weights_N), outputs.relabel(batch, each.labels)

    def _precisely(self) -> torch.autocast:
        bfloat16 = self._compute.precision == "bfloat16"
        # Without the cache, autograd sees every use of a parameter and not its first cast alone.
        return torch.autocast(
            self._compute.device.type, dtype=torch.bfloat16, enabled=bfloat16, cache_enabled=False
        )

    @contextmanager
    def _within(self) -> Iterator[None]:
        with self._precisely():
            if self._mask is None:
                yield
            else:
                with self._mask.active():
                    yield


def _collated(task: Task, compute: Compute, items: Sequence[Item]) -> Batch:
    """A batch of items; no method, since a cycle would keep a member that is replaced."""
    return collated(task, items, compute.device)


def _weighted(loss: Objective, weights_N: Tensor, model: nn.Module, batch: Batch) -> Tensor:
    return weights_N * loss(model, batch)


def declared_outputs(task: Task) -> Outputs:
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
