"""Per-example gradients of a model: one pass for a whole batch where that is exact, one example a pass elsewhere.

A pass records the operations that read attributed parameters and differentiates their outputs alone. The outer
products that would be the gradients are left to the consumer of the factors. Autograd's own graph says, for every
pass, whether a parameter was read in any other way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import InvalidTask, NonFiniteGradient, UnsupportedModel
from byline.gradients.capture.faults import InseparableError, describe_fault, named_fault
from byline.gradients.capture.graph import forward_graph
from byline.gradients.capture.trace import Trace, TraceTargets, record_trace
from byline.gradients.outer_products.concatenation import concatenate_batches
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.pass_log import PassLog
from byline.gradients.passes.assembly import BlockIndex
from byline.gradients.passes.batch import BatchPass, Separation
from byline.gradients.passes.single_example import SingleExamplePass
from byline.gradients.report import ParameterReport
from byline.gradients.selection import select
from byline.progress import count_items, count_steps
from byline.task import Batch, LayerSelection, Objective

Within = Callable[[], AbstractContextManager[Any]]
"""Makes what is active around a forward pass: a dropout mask, mixed precision."""


class GradientCollector:
    """Collects per-example gradients of one model's attributed parameters.

    The model belongs to its collector: it is put into evaluation mode before, and parameters that are not attributed
    are frozen here. Build one with `byline.gradients.checks.build_collector`, which learns how the model sees a batch
    and holds the result against plain autograd.

    Args:
        model: In evaluation mode.
        layers: Which parameters are attributed.
    """

    def __init__(self, model: nn.Module, layers: LayerSelection | None = None) -> None:
        selection = select(model, layers or LayerSelection())
        self.model, self.blocks = model, selection.blocks
        self.frozen, self.quantized = selection.frozen, selection.quantized
        named = dict(model.named_parameters())
        self.parameters = {name: named[name] for block in self.blocks for name in block.parameters}
        model.requires_grad_(requires_grad=False)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        refuse_mixing_modules(model)
        self.names = {id(parameter): name for name, parameter in self.parameters.items()}
        self.index = BlockIndex(self.blocks)
        self.unused: tuple[str, ...] = ()
        """Attributed parameters that no probed example has a gradient of."""
        self.separation: Separation | None = None
        """Layouts that cut a batch into its examples. None where examples are differentiated one at a time."""
        self.independent = True
        """Whether an example's value is the same in every batch."""
        self.notice: str | None = None
        """Reason for differentiating examples one at a time, for people."""
        self.captures = True
        """Whether operations are captured; else autograd differentiates every parameter as it is."""
        self.copies = False
        """Whether the model writes into outputs of layers that are views of other tensors."""
        self.fresh = False
        """Whether the last batch that was taken together was computed in another way than all before it."""
        self.settled = False
        """Whether batches are no longer compared with examples alone: a trial then takes what a long build takes."""
        self.log = PassLog()
        """Report of the passes from now on."""
        self._looks: set[int] = set()
        self._ways: set[tuple[str, ...]] = set()

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
                    return self.collect_batch(objective, batch, count)
                except InseparableError:
                    pass
            if count > 1 and not self.independent:
                raise UnsupportedModel(f"{self.notice}; pass the examples one at a time")
            found = self._one_pass(objective, batch, count)
            if count > 1:
                self._refuse_dependent(objective, batch, found.objective_N)
            return found

    def _refuse_dependent(self, objective: Objective, batch: Batch, values_N: Tensor) -> None:
        """Hold the values of a batch against those of its examples alone, where a batch can be cut.

        Raises:
            UnsupportedModel: They differ: the model works otherwise on a batch of this size.
        """
        for place in {0, len(values_N) - 1}:
            single = example_of(batch, place, len(values_N))
            if single is None:
                return
            with torch.no_grad():
                alone = require_values(objective(self.model, single), 1)[0]
            if not torch.isclose(
                alone, values_N[place], rtol=max(1e-3, 8 * torch.finfo(alone.dtype).eps), atol=1e-6
            ):
                raise UnsupportedModel(
                    f"the value of example {place} of a batch of {len(values_N)} differs from its value alone: the "
                    f"examples of a batch influence one another; pass the examples one at a time"
                )

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
        return concatenate_batches([self.collect(objective, batch, 1, within()) for batch in batches])

    def collect_batch(self, objective: Objective, batch: Batch, count: int) -> BatchGradients:
        """Differentiate a batch in one pass.

        Raises:
            InseparableError: The pass cannot be cut into its examples.
        """
        assert self.separation is not None
        with count_steps(None, 2) as advance:
            passed = self._traced_batch(objective, batch, count, self.separation)
            advance(1)
            familiar = self._is_familiar(passed)
            try:
                found = passed.edge_gradients([1.0] * count, keep=not familiar)
            except RuntimeError as error:  # what autograd says of operations in place
                raise InseparableError(
                    f"{describe_fault(self.model, error)}, where a batch is cut into examples"
                ) from error
            advance(1)
        gradients = passed.split(found)
        if not familiar:
            passed.refuse_mixed(found, self.rounding)
        self._remember(passed)
        refuse_non_finite(gradients)
        self.log.note_gradients(gradients, self.unused, self.blocks)
        return gradients

    def _traced_batch(
        self, objective: Objective, batch: Batch, count: int, separation: Separation
    ) -> BatchPass:
        every = dict(self.model.named_modules()) if separation.differentiated else {}
        modules = {name: every[name] for name in separation.differentiated}
        watched = self.trace_targets(modules)
        try:
            with (
                self.differentiable(),
                record_trace(watched, lambda p, o: separation.spread(p, o, count)) as trace,
            ):
                values_N = require_values(objective(self.model, batch), count)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the pass that follows tells whether the model itself is at fault
            raise InseparableError(
                f"{describe_fault(self.model, error)}, where a batch is cut into examples"
            ) from error
        return BatchPass(trace, values_N, separation, self.index, self.parameters)

    def _one_pass(self, objective: Objective, batch: Batch, count: int) -> BatchGradients:
        passed = self.traced_pass(objective, batch, count)
        parts = [passed.differentiate(n, keep=n + 1 < count) for n in count_items(None, range(count))]
        gradients = concatenate_batches(parts)
        refuse_non_finite(gradients)
        self.log.note_gradients(gradients, self.unused, self.blocks)
        return gradients

    def traced_pass(self, objective: Objective, batch: Batch, count: int) -> SingleExamplePass:
        """Run a forward pass of which single examples are differentiated."""
        watched = self.trace_targets({})
        with self.differentiable(), record_trace(watched, lambda _place, output: output) as trace:
            values_N = require_values(objective(self.model, batch), count)
        if not self.captures:
            trace = Trace()
        return SingleExamplePass(trace, values_N, self.index, self.parameters)

    def trace_targets(self, modules: Mapping[str, nn.Module]) -> TraceTargets:
        """List the targets of a trace, with the calls of some modules."""
        return TraceTargets(self.names, self.index.forms, modules, self.copies)

    def report(self) -> ParameterReport:
        """Report the attributed, unused and frozen parameters."""
        return ParameterReport(
            attributed=tuple(name for name in self.parameters if name not in self.unused),
            unused=self.unused,
            frozen=self.frozen,
            quantized=self.quantized,
            precision=tuple(sorted({str(p.dtype).removeprefix("torch.") for p in self.parameters.values()})),
            passes="batch" if self.separation is not None else "example",
            reason=self.notice,
        )

    def reached_parameters(self, objective: Objective, batch: Batch) -> frozenset[str]:
        """Find the attributed parameters that an objective of one example leads to: a forward pass and nothing more."""
        with named_fault(self.model), self.differentiable():
            used = forward_graph(require_values(objective(self.model, batch), 1)).reads
        return frozenset(name for name, p in self.parameters.items() if id(p) in used)

    @property
    def rounding(self) -> float:
        """Relative difference of two computations of the same number, in the precision that passes have here and now."""
        kinds = {p.dtype for p in self.parameters.values()}
        device = next(iter(self.parameters.values())).device.type
        if torch.is_autocast_enabled(device):
            kinds.add(torch.get_autocast_dtype(device))
        return 4 * max(torch.finfo(kind).eps for kind in kinds)

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Record the graph of attributed parameters alone while the block runs."""
        for parameter in self.parameters.values():
            if not parameter.requires_grad:
                parameter.requires_grad_()
        with torch.enable_grad():
            yield

    def _is_familiar(self, passed: BatchPass) -> bool:
        """Tell whether a batch has the shapes and operations of one that was cut into examples before.

        Where examples could be mistaken for one another, every new look is checked. Elsewhere the 1st, 2nd, 4th, 8th ...
        """
        if passed.look in self._looks:
            return True
        number = len(self._looks) + 1
        doubtful = passed.separation.doubtful or bool(passed.movements)
        return not doubtful and (self.settled or number & (number - 1) > 0)

    def _remember(self, passed: BatchPass) -> None:
        """A batch was cut into its examples."""
        self.fresh = passed.graph.operations not in self._ways
        self._ways.add(passed.graph.operations)
        self._looks.add(passed.look)


def example_of(batch: Batch, place: int, count: int) -> Batch | None:
    """Cut one example out of a collated batch. None where a part of it does not run over the examples."""
    if isinstance(batch, Tensor):
        return batch[place : place + 1] if batch.dim() and batch.shape[0] == count else None
    if isinstance(batch, Mapping):
        parts = {key: example_of(value, place, count) for key, value in batch.items()}
        return None if any(part is None for part in parts.values()) else parts
    if isinstance(batch, tuple | list) and batch:
        cut: list[Any] = [example_of(part, place, count) for part in batch]
        if any(part is None for part in cut):
            return None
        return type(batch)(*cut) if hasattr(batch, "_fields") else type(batch)(cut)
    return None


def refuse_mixing_modules(model: nn.Module) -> None:
    """Refuse a model whose examples influence one another, or whose output is random.

    Raises:
        UnsupportedModel: A module is in training mode, normalizes by the batch, or counts tokens over the batch.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            module.training or module.running_mean is None
        ):
            raise UnsupportedModel(
                f"BatchNorm '{name}' is in training mode or keeps no running statistics: its output mixes the examples of "
                f"a batch, so there is no gradient of one example; call model.eval(), with track_running_stats=True"
            )
        if module.training and isinstance(module, nn.modules.dropout._DropoutNd):
            raise UnsupportedModel(
                f"Dropout '{name}' is in training mode: gradients would be random; call model.eval(), and ask for "
                f"members.masks in the recipe if dropout is to make an ensemble"
            )
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.weight.requires_grad:
            _refuse_counting(name, module)


def _refuse_counting(name: str, module: nn.Embedding | nn.EmbeddingBag) -> None:
    if module.max_norm is not None or module.scale_grad_by_freq:
        raise UnsupportedModel(
            f"expected '{name}' without max_norm and scale_grad_by_freq, got one with: a look-up changes the weight, or "
            f"its gradient depends on the other examples of the batch; exclude it from Task.layers"
        )


def require_values(values: Tensor, count: int) -> Tensor:
    """Require that an objective returned one number an example.

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
