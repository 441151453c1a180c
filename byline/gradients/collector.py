"""Per-example gradients of a model: one pass for a whole batch where that is exact, one example a pass elsewhere.

A pass records the operations that read attributed parameters and differentiates their outputs alone; the outer
products that would be the gradients are left to the consumer of the factors. Autograd's own graph says, for every
pass, whether a parameter was read in any other way.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import BylineError, InvalidTask, NonFiniteGradient, UnsupportedModel
from byline.gradients.assembly import BlockIndex
from byline.gradients.factors import BatchGradients
from byline.gradients.faults import named_fault
from byline.gradients.graph import reads
from byline.gradients.joining import joined
from byline.gradients.selection import select
from byline.gradients.together import InseparableError, Separation, TogetherPass
from byline.gradients.trace import Trace, Watched, tracing
from byline.gradients.whole import WholePass
from byline.task import Batch, LayerSelection, Objective

Within = Callable[[], AbstractContextManager[Any]]
"""Makes what is active around a forward pass: a dropout mask, mixed precision."""


class GradientCollector:
    """Collects per-example gradients of one model's attributed parameters.

    The model belongs to its collector: it is put into evaluation mode before, and parameters that are not attributed
    are frozen here. Build one with `byline.gradients.probe.build_collector`, which learns how the model sees a batch
    and holds the result against plain autograd.

    Args:
        model: In evaluation mode.
        layers: Which parameters are attributed.
    """

    def __init__(self, model: nn.Module, layers: LayerSelection | None = None) -> None:
        refuse_training_mode(model)
        selection = select(model, layers or LayerSelection())
        self.model, self.blocks, self.frozen = model, selection.blocks, selection.frozen
        named = dict(model.named_parameters())
        self.parameters = {name: named[name] for block in self.blocks for name in block.parameters}
        model.requires_grad_(requires_grad=False)
        self.names = {id(parameter): name for name, parameter in self.parameters.items()}
        self.unused: tuple[str, ...] = ()
        """Attributed parameters that no probed example has a gradient of."""
        self.separation: Separation | None = None
        """How a batch is cut into its examples; None where it is not, and examples are taken one at a time."""
        self.independent = True
        """Whether an example's value is the same in every batch."""
        self.notice: str | None = None
        """Why examples are taken one at a time, for people."""
        self._seen: set[tuple[Any, ...]] = set()

    def collect(
        self,
        objective: Objective,
        batch: Batch,
        count: int,
        within: AbstractContextManager[Any] | None = None,
    ) -> BatchGradients:
        """Differentiate an objective for every example of a batch.

        Args:
            objective: `(model, batch) -> values_N`, each value a function of its own example alone.
            batch: A collated batch.
            count: N.
            within: Active around the forward pass: a dropout mask, mixed precision.

        Returns:
            The values and every block's gradients, detached, on the model's device.

        Raises:
            InvalidTask: The objective does not return N numbers.
            NonFiniteGradient: A value or a gradient is NaN or infinite.
            UnsupportedModel: The examples of a batch influence one another.
        """
        with within or nullcontext():
            if count > 1 and self.separation is not None:
                try:
                    return self.together(objective, batch, count)
                except InseparableError:
                    pass
            if count > 1 and not self.independent:
                raise UnsupportedModel(f"{self.notice}; pass the examples one at a time")
            return self._one_pass(objective, batch, count)

    def one_by_one(
        self, objective: Objective, batches: Iterable[Batch], within: Within = nullcontext
    ) -> BatchGradients:
        """Differentiate an objective for examples that are each a batch of their own: exact for every model.

        Args:
            objective: `(model, batch) -> values_N`.
            batches: Collated batches of one example.
            within: Makes what is active around each forward pass.

        Returns:
            As `collect`, of all of them.
        """
        return joined([self.collect(objective, batch, 1, within()) for batch in batches])

    def together(self, objective: Objective, batch: Batch, count: int) -> BatchGradients:
        """Differentiate a batch in one pass.

        Raises:
            InseparableError: The pass cannot be cut into its examples.
        """
        assert self.separation is not None
        separation = self.separation
        modules = {name: self.model.get_submodule(name) for name in separation.differentiated}
        watched = Watched(self.names, BlockIndex(self.blocks).forms(), modules)
        try:
            with (
                self.differentiable(),
                tracing(watched, lambda p, o: separation.spread(p, o, count)) as trace,
            ):
                values_N = checked_values(objective(self.model, batch), count)
            passed = TogetherPass(trace, values_N, separation, self.blocks, self.parameters)
            refuse_no_path(values_N)
            unseen = self._is_unseen(trace, separation, count)
            found = passed.edge_gradients(range(count), keep=unseen)
            gradients = passed.split(found)
            if unseen:
                passed.refuse_mixed(found, len(self._seen) % count)
        except (BylineError, InseparableError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the whole pass that follows tells whether the model itself is at fault
            raise InseparableError(f"{type(error).__name__} while the examples were told apart") from error
        refuse_non_finite(gradients)
        return gradients

    def _one_pass(self, objective: Objective, batch: Batch, count: int) -> BatchGradients:
        with named_fault(self.model):
            passed = self.whole(objective, batch, count)
            parts = [passed.differentiate(n, keep=n + 1 < count) for n in range(count)]
        gradients = joined(parts)
        refuse_non_finite(gradients)
        return gradients

    def whole(self, objective: Objective, batch: Batch, count: int) -> WholePass:
        """Run a forward pass of which single examples are differentiated."""
        watched = Watched(self.names, BlockIndex(self.blocks).forms())
        with self.differentiable(), tracing(watched, lambda _place, output: output) as trace:
            values_N = checked_values(objective(self.model, batch), count)
        refuse_no_path(values_N)
        return WholePass(trace, values_N, self.blocks, self.parameters)

    def reached(self, objective: Objective, batch: Batch) -> frozenset[str]:
        """The attributed parameters that an objective of one example leads to: a forward pass and nothing more."""
        with named_fault(self.model), self.differentiable():
            used = reads(checked_values(objective(self.model, batch), 1))
        return frozenset(name for name, p in self.parameters.items() if id(p) in used)

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Record the graph of attributed parameters, and of no others, while the block runs."""
        for parameter in self.parameters.values():
            if not parameter.requires_grad:
                parameter.requires_grad_()
        with torch.enable_grad():
            yield

    def _is_unseen(self, trace: Trace, separation: Separation, count: int) -> bool:
        """Whether a batch looks new enough to be checked: every new shape where layouts could mistake it, else few."""
        shapes = (count, *((c.place, c.shape) for c in trace.operations))
        if shapes in self._seen:
            return False
        self._seen.add(shapes)
        number = len(self._seen)
        return separation.doubtful or number & (number - 1) == 0


def refuse_training_mode(model: nn.Module) -> None:
    """Refuse a model whose examples influence one another, or whose output is random.

    Raises:
        UnsupportedModel: A module is in training mode.
    """
    for name, module in model.named_modules():
        if module.training and isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UnsupportedModel(
                f"BatchNorm '{name}' is in training mode: its output mixes the examples of a batch, so there is no "
                f"gradient of one example; call model.eval()"
            )
        if module.training and isinstance(module, nn.modules.dropout._DropoutNd):
            raise UnsupportedModel(
                f"Dropout '{name}' is in training mode: gradients would be random; call model.eval(), and ask for "
                f"members.masks in the recipe if dropout is to make an ensemble"
            )


def checked_values(values: Tensor, count: int) -> Tensor:
    """Hold that an objective returned one number an example.

    Raises:
        InvalidTask: It returned something else.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (count,):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InvalidTask(
            f"expected the loss or target to return one value an example, shape ({count},), got {shape}: "
            f"use reduction='none' and reduce over positions only"
        )
    return values


def refuse_no_path(values_N: Tensor) -> None:
    """Refuse an objective that no attributed parameter leads to.

    Raises:
        UnsupportedModel: It depends on none.
    """
    if not values_N.requires_grad:
        raise UnsupportedModel(
            "expected a loss or target that depends on the attributed parameters, got one that depends on none: compute "
            "it with the model's forward, outside torch.no_grad()"
        )


def refuse_non_finite(gradients: BatchGradients) -> None:
    """Refuse NaN and infinity.

    Raises:
        NonFiniteGradient: A value or a factor is not finite.
    """
    bad = (~gradients.objective_N.isfinite()).nonzero().flatten().tolist()
    if bad:
        where = f" for example {bad[0]} of this batch" if len(gradients) > 1 else ""
        raise NonFiniteGradient(f"the loss or target is NaN or infinite{where}")
    for name, gradient in gradients.blocks.items():
        if not gradient.is_finite():
            where = f" in this batch of {len(gradients)}" if len(gradients) > 1 else ""
            raise NonFiniteGradient(f"the gradient of '{name}' is NaN or infinite{where}")
