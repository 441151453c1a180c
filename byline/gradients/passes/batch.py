"""Take all examples' gradients from one pass over a batch: cut the trace by the layouts that were learned for the model.

A pass that differs from those that the layouts were learned on is inseparable. The caller then takes one example a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from byline.gradients.capture.faults import InseparableError
from byline.gradients.capture.graph import ForwardGraph, Span, forward_graph
from byline.gradients.capture.trace import ModuleCall, OperationCall, Place, Trace
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient, Use
from byline.gradients.passes.assembly import (
    Arrange,
    BlockIndex,
    arrange_products,
    block_uses,
    full_precision,
    gather_blocks,
    outer_products,
    tensor_use,
)
from byline.gradients.passes.layouts import SHARED, Layout
from byline.gradients.passes.module_gradients import ModuleLayout, module_gradients


@dataclass(frozen=True)
class Separation:
    """Layouts that cut a model's passes into examples."""

    operations: Mapping[Place, Layout] = field(default_factory=dict)
    modules: Mapping[Place, ModuleLayout] = field(default_factory=dict)
    differentiated: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Module -> parameters that are differentiated on its own input, since no captured operation explains them."""

    @property
    def doubtful(self) -> bool:
        """Whether a layout could fit a batch by coincidence: parts of one axis, or outputs that are shared."""
        layouts = [
            *self.operations.values(),
            *(o for m in self.modules.values() for o in m.inputs + m.outputs),
        ]
        return (
            any(layout.kind in {"major", "minor"} for layout in layouts) or SHARED in self.operations.values()
        )

    def operation(self, place: Place) -> Layout:
        """Look up the layout of an operation's output.

        Raises:
            InseparableError: None was learned.
        """
        if place in self.operations:
            return self.operations[place]
        others = {layout for known, layout in self.operations.items() if known[:2] == place[:2]}
        if len(others) != 1:
            raise InseparableError(
                f"parameter '{place[1]}' is used more often than when the model was loaded"
            )
        return others.pop()

    def module(self, place: Place) -> ModuleLayout:
        """Look up the layout of a module's call.

        Raises:
            InseparableError: None was learned.
        """
        if place not in self.modules:
            raise InseparableError(f"module '{place[1]}' is called more often than when the model was loaded")
        return self.modules[place]

    def spread(self, place: Place, output: Tensor, count: int) -> Tensor:
        """Give every example a slice of an output that all share."""
        known = self.operations if place[0] != "module" else {}
        layout = known.get(place)
        if place[0] == "module":
            layouts = self.modules.get(place)
            layout = layouts.outputs[0] if layouts and len(layouts.outputs) == 1 else None
        if layout != SHARED:
            return output
        return output.expand(
            count, *(output.shape[1:] if output.dim() and output.shape[0] == 1 else output.shape)
        )


@dataclass(frozen=True)
class BatchPass:
    """One forward pass over a batch, with what is needed to cut it up."""

    trace: Trace
    values_N: Tensor
    separation: Separation
    index: BlockIndex
    parameters: Mapping[str, Tensor]

    @cached_property
    def graph(self) -> ForwardGraph:
        """Autograd's graph of the pass."""
        return forward_graph(self.values_N)

    @property
    def count(self) -> int:
        """N."""
        return len(self.values_N)

    @cached_property
    def operations(self) -> list[OperationCall]:
        """Captured calls, without those whose parameters are all differentiated by a module around them."""
        return [
            call
            for call in self.trace.operations
            if any(not self._inside(call.span, name) for name in call.parameters)
        ]

    @cached_property
    def movements(self) -> tuple[Any, ...]:
        """Operations that move rows before the last call. Later ones cannot mix captured outputs."""
        ends = [c.span.end for c in self.trace.operations] + [c.span.end for c in self.trace.modules]
        last = max(ends, default=0)
        return tuple(moved for moment, moved in self.graph.movements if moment < last)

    @cached_property
    def look(self) -> int:
        """The same for batches of the same shapes that the model computes in the same way."""
        shapes = tuple((call.place, call.shape) for call in self.trace.operations)
        outputs = tuple(tuple(o.shape) for call in self.trace.modules for o in call.outputs if o is not None)
        return hash((self.count, shapes, outputs, self.graph.operations, self.movements))

    def edge_gradients(self, weights_N: Sequence[float], *, keep: bool) -> list[list[Tensor | None]]:
        """Compute the gradients by the outputs of all operations, then of all modules, of the weighted sum of the values."""
        with torch.enable_grad():
            value = (self.values_N * self.values_N.new_tensor(weights_N)).sum()
        if not value.requires_grad:  # these examples depend on no attributed parameter
            calls = [
                *([None] for _ in self.operations),
                *([None] * len(c.edges) for c in self.trace.modules),
            ]
            return [list[Tensor | None](each) for each in calls]
        edges = [[call.edge] for call in self.operations] + [list(c.edges) for c in self.trace.modules]
        flat = [edge for each in edges for edge in each if edge is not None]
        found = iter(torch.autograd.grad(value, flat, retain_graph=keep, allow_unused=True))
        return [[None if edge is None else next(found) for edge in each] for each in edges]

    def split(self, found: Sequence[Sequence[Tensor | None]]) -> BatchGradients:
        """Cut the pass up.

        Args:
            found: `edge_gradients` of all examples.

        Raises:
            InseparableError: Something is not as it was learned.
        """
        self._refuse_uncovered()
        values_N = self.values_N.detach()
        with torch.no_grad(), torch.autocast(values_N.device.type, enabled=False):
            uses = list(self._operation_uses(found))
            uses += self._module_uses(found[len(self.operations) :])
            gradients: dict[str, KroneckerGradient] = gather_blocks(
                self.index.blocks, uses, self.count, values_N
            )
        return BatchGradients(values_N, gradients)

    def refuse_mixed(self, found: Sequence[Sequence[Tensor | None]], rounding: float) -> None:
        """Require that each example's part has the gradient of its own value, by weighing the values differently.

        The weights are powers of two, by which every precision multiplies exactly.

        Args:
            found: `edge_gradients` with all weights one.
            rounding: Relative rounding of the model's precision.

        Raises:
            InseparableError: A part has something of another example.
        """
        weights = [2.0 ** (n % WEIGHTS) for n in range(self.count)]
        weighed = self.edge_gradients(weights, keep=True)
        for (words, layout), grad, other in zip(self._outputs(), _flat(found), _flat(weighed), strict=True):
            if grad is None or other is None:
                continue
            if not layout.fits(grad.shape, self.count):
                raise InseparableError(f"{words} sees the batch in another shape than at first")
            parts_NP = layout.part(full_precision(grad), self.count).reshape(self.count, -1)
            weighed_NP = layout.part(full_precision(other), self.count).reshape(self.count, -1)
            weights_N1 = parts_NP.new_tensor(weights)[:, None]
            allowed_N = max(1e-3, rounding) * weights_N1[:, 0] * parts_NP.norm(dim=1) + 1e-30
            if bool(((weighed_NP - weights_N1 * parts_NP).norm(dim=1) > allowed_N).any()):
                raise InseparableError(f"examples of a batch meet in {words}")

    def _outputs(self) -> Iterator[tuple[str, Layout]]:
        """Every output that is differentiated: what it is of, and where its examples are.

        Yields:
            Words for messages, and a layout.
        """
        for call in self.operations:
            yield f"the layer with '{call.place[1]}'", _spread_out(self.separation.operation(call.place))
        for made in self.trace.modules:
            for layout in self.separation.module(made.place).outputs:
                yield f"module '{made.name}'", _spread_out(layout)

    def _operation_uses(self, found: Sequence[Sequence[Tensor | None]]) -> Iterable[tuple[str, Use]]:
        for call, (grad,) in zip(self.operations, found, strict=False):
            wanted = {name for name in call.parameters if not self._inside(call.span, name)}
            if grad is None or not wanted:
                continue
            self._refuse_changed(call)
            layout = self.separation.operation(call.place)
            owned = _spread_out(layout)
            products = outer_products(call, grad)
            carrier = products.carrier
            if not owned.fits(carrier.shape[:-1], self.count):
                raise InseparableError(
                    f"parameter '{call.place[1]}' sees the batch in another shape than at first"
                )
            width = self.index.rows[call.weight] if call.weight is not None else 0
            yield from block_uses(
                call, arrange_products(products, self._arrange(owned), width), self.index, wanted
            )

    def _arrange(self, layout: Layout) -> Arrange:
        return lambda tensor: layout.part(tensor, self.count).reshape(self.count, -1, tensor.shape[-1])

    def _module_uses(self, found: Sequence[Sequence[Tensor | None]]) -> list[tuple[str, Use]]:
        added: dict[str, Tensor] = {}
        for call, grads in zip(self.trace.modules, found, strict=True):
            layout = self.separation.module(call.place)
            wanted = {n for n in self.separation.differentiated[call.name] if not self._inside(call.span, n)}
            if not wanted or all(grad is None for grad in grads):
                continue
            if call.changed or not layout.fits(call, self.count):
                raise InseparableError(f"module '{call.name}' sees the batch in another shape than at first")
            own = _own_names(call.module, {id(self.parameters[name]): name for name in wanted})
            given = {mine: self.parameters[name] for mine, name in own.items()}
            try:
                tensors = module_gradients(call, grads, layout, given, self.count)
            except (InseparableError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # the module needs more than its arguments
                raise InseparableError(
                    f"module '{call.name}' does not work on one example's arguments"
                ) from error
            for mine, tensor in tensors.items():
                added[own[mine]] = added[own[mine]] + tensor if own[mine] in added else tensor
        return [
            (b.name, tensor_use(b, self._all(b, added)))
            for b in self.index.blocks
            if set(b.parameters) & set(added)
        ]

    def _all(self, block: Block, added: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shapes = zip(block.parameters, block.shapes, strict=True)
        like = next(iter(added.values()))
        return {n: added[n] if n in added else like.new_zeros(self.count, *shape) for n, shape in shapes}

    def _inside(self, span: Span, parameter: str) -> bool:
        """Tell whether a call is a part of a module's call that is differentiated by this parameter as a whole."""
        return any(
            span.inside(call.span) and parameter in self.separation.differentiated.get(call.name, ())
            for call in self.trace.modules
        )

    def _refuse_uncovered(self) -> None:
        for call in self.operations:
            if call.is_lost(self.graph, self.parameters):
                raise InseparableError(f"the output of the layer with '{call.place[1]}' is overwritten")
        for made in self.trace.modules:
            if self.graph.leaves_elsewhere(made.span, {edge.node for edge in made.edges if edge is not None}):
                raise InseparableError(f"something of module '{made.name}' is used beside what it returns")
        covered = self._covered()
        for name, parameter in self.parameters.items():
            spans, moments = covered.get(name, []), self.graph.reads.get(id(parameter), ())
            if not all(any(span.holds(moment) for span in spans) for moment in moments):
                raise InseparableError(f"parameter '{name}' is used outside the layers that are captured")

    def _covered(self) -> dict[str, list[Span]]:
        """Parameter -> the calls that its gradient is taken from."""
        covered: dict[str, list[Span]] = {}
        for call in self.trace.operations:
            for name in call.parameters:
                covered.setdefault(name, []).append(call.span)
        for made in self.trace.modules:
            for name in self.separation.differentiated[made.name]:
                covered.setdefault(name, []).append(made.span)
        return covered

    @staticmethod
    def _refuse_changed(call: OperationCall) -> None:
        if call.changed:
            raise InseparableError(
                f"the input of the layer with '{call.place[1]}' was changed in place after the call"
            )


WEIGHTS = 24
"""Weights of two examples are equal where their places differ by this: larger powers would leave float32."""


def _spread_out(layout: Layout) -> Layout:
    """An output that all examples share was spread over them."""
    return Layout() if layout == SHARED else layout


def _flat(found: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    return [grad for each in found for grad in each]


def _own_names(module: nn.Module, wanted: Mapping[int, str]) -> dict[str, str]:
    """A module's own names of parameters -> their names in the model, each once."""
    return {own: wanted[id(p)] for own, p in module.named_parameters() if id(p) in wanted}


def owners(calls: Sequence[ModuleCall], moment: int, parameter: Tensor) -> list[ModuleCall]:
    """List the calls at a moment of modules that have a parameter in them or below them, the innermost first."""
    inside = [c for c in calls if c.span.holds(moment) and any(p is parameter for p in c.module.parameters())]
    return sorted(inside, key=lambda call: call.span.end - call.span.begin)
