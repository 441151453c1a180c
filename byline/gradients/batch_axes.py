"""Learn a model's batch axes: the axis of each operation's output that runs over the examples.

Shapes say which axes may be it. The gradients of single examples' values say which one is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from byline.gradients.capture.faults import InseparableError
from byline.gradients.capture.trace import ModuleCall, OperationCall, Place, record_trace
from byline.gradients.collector import GradientCollector
from byline.gradients.passes.batch import BatchPass, Separation, owners
from byline.gradients.passes.layouts import SHARED, UNREACHED, Layout, candidates
from byline.gradients.passes.module_gradients import ModuleLayout
from byline.progress import count_items
from byline.task import Batch, Objective

Sample = Callable[[int], Batch]
"""Makes a collated batch of the first n of three fixed examples, of which the third equals the first."""

Call = TypeVar("Call", OperationCall, ModuleCall)


def learn_separation(
    collector: GradientCollector, objective: Objective, sample: Sample, *, by_modules: bool = False
) -> Separation:
    """Learn from batches of two and of three examples.

    Args:
        collector: The model's collector.
        objective: The differentiated function.
        sample: Batches of the first n of three examples.
        by_modules: Whether a parameter whose layer the examples share, or which only modules around its owner read, is
            differentiated on the input of the innermost module around it that sees the examples. This works for more
            models, and runs more of the model again.

    Raises:
        InseparableError: Some operation's batches have no common layout.
    """
    watched = _owners(collector)
    if by_modules:  # not the whole model: that would be another pass
        watched |= {name: module for name, module in _modules(collector).items() if name}
    two, three = (
        _watched_pass(collector, objective, sample(count), watched) for count in count_items(None, (2, 3))
    )
    if any(call.is_lost(three.graph, collector.parameters) for call in three.trace.operations):
        collector.copies = True
        two, three = (_watched_pass(collector, objective, sample(count), watched) for count in (2, 3))
    weights_of = ([1, 0, 0], [0, 1, 0])
    values = [three.edge_gradients(weights, keep=True) for weights in count_items(None, weights_of)]
    layouts = _Layouts(
        _paired(two.trace.operations, three.trace.operations),
        _paired(two.trace.modules, three.trace.modules),
        values,
    )
    differentiated: dict[str, set[str]] = {}
    for passed in (two, three):
        for call, parameter in _explained_by_modules(collector, passed, layouts if by_modules else None):
            differentiated.setdefault(call.name, set()).add(parameter)
    names = {name: frozenset(parameters) for name, parameters in differentiated.items()}
    left = replace(three, separation=Separation(differentiated=names)).operations
    return Separation(
        {call.place: layouts.operation(call.place) for call in left},
        {c.place: layouts.module(c.place) for c in three.trace.modules if c.name in names},
        names,
    )


class _Layouts:
    """The layouts of all calls, each learned when it is asked for."""

    def __init__(
        self,
        operations: Sequence[tuple[OperationCall, OperationCall]],
        modules: Sequence[tuple[ModuleCall, ModuleCall]],
        values: Sequence[Sequence[Sequence[Tensor | None]]],
    ) -> None:
        self._operations = {pair[1].place: (pair, n) for n, pair in enumerate(operations)}
        self._modules = {pair[1].place: (pair, n + len(operations)) for n, pair in enumerate(modules)}
        self._values = values

    def operation(self, place: Place) -> Layout:
        """The layout of an operation's output."""
        (small, large), number = self._operations[place]
        leading = 1 if large.operation.trailing is None else None
        return _operation_layout(small, large, [found[number][0] for found in self._values], leading)

    def module(self, place: Place) -> ModuleLayout:
        """The layout of a module's call."""
        (small, large), number = self._modules[place]
        return _module_layout(small, large, [found[number] for found in self._values])

    def sees_examples(self, place: Place) -> bool:
        """Tell whether every output of a module's call that is differentiated has a part for each example."""
        (_, call), _ = self._modules[place]
        try:
            outputs = self.module(place).outputs
        except InseparableError:
            return False
        differentiated = [o for o, leaf in zip(outputs, call.outputs, strict=True) if leaf is not None]
        return bool(differentiated) and SHARED not in differentiated


def _watched_pass(
    collector: GradientCollector, objective: Objective, batch: Batch, modules: Mapping[str, nn.Module]
) -> BatchPass:
    watched = collector.trace_targets(modules)
    with collector.differentiable(), record_trace(watched, lambda _place, output: output) as trace:
        values_N = objective(collector.model, batch)
    return BatchPass(trace, values_N, Separation(), collector.index, collector.parameters)


def _modules(collector: GradientCollector) -> dict[str, nn.Module]:
    """Modules with attributed parameters in them or below them."""
    inside = {
        m
        for found in collector.model.modules()
        if isinstance(found, ParametrizationList)
        for m in found.modules()
    }
    return {
        name: module
        for name, module in collector.model.named_modules()
        if module not in inside and any(id(p) in collector.names for p in module.parameters())
    }


def _owners(collector: GradientCollector) -> dict[str, nn.Module]:
    """Modules that own attributed parameters, or use their children's."""
    return {
        name: module
        for name, module in _modules(collector).items()
        if is_parametrized(module) or any(id(p) in collector.names for p in module.parameters(recurse=False))
    }


def _explained_by_modules(
    collector: GradientCollector, passed: BatchPass, layouts: _Layouts | None
) -> Iterator[tuple[ModuleCall, str]]:
    """List the calls of modules that explain what no captured operation does.

    Args:
        collector: Names the parameters.
        passed: A pass.
        layouts: If given, operations that the examples share explain nothing where a module around them sees the examples.

    Yields:
        A call, and the parameter.

    Raises:
        InseparableError: No call explains a read.
    """
    for name, parameter in collector.parameters.items():
        captured = [call for call in passed.trace.operations if name in call.parameters]
        for moment in passed.graph.reads.get(id(parameter), ()):
            within = [call for call in captured if call.span.holds(moment)]
            if within and (layouts is None or layouts.operation(within[0].place) != SHARED):
                continue
            around = owners(passed.trace.modules, moment, parameter)
            if layouts is not None:
                around = [call for call in around if layouts.sees_examples(call.place)]
            if around:
                yield around[0], name
            elif not within:
                raise InseparableError(f"parameter '{name}' is used outside the layers that are captured")


def _paired(two: Sequence[Call], three: Sequence[Call]) -> list[tuple[Call, Call]]:
    if [call.place for call in two] != [call.place for call in three]:
        raise InseparableError("the model calls its layers more or less often as the batch grows")
    return list(zip(two, three, strict=True))


def _operation_layout(
    two: OperationCall, three: OperationCall, grads: Sequence[Tensor | None], leading: int | None
) -> Layout:
    axes = leading or len(three.shape) - 1
    options = [o for o in candidates(two.shape, three.shape) if o.axis < axes or o == SHARED]
    if leading:  # a convolution's positions are told apart along its first axis alone
        options = [o for o in options if o != SHARED]
    found = _owned(options, grads, f"the layer with '{three.place[1]}'")
    return UNREACHED if found == SHARED and all(grad is None for grad in grads) else found


def _module_layout(
    two: ModuleCall, three: ModuleCall, grads: Sequence[Sequence[Tensor | None]]
) -> ModuleLayout:
    outputs = tuple(
        _owned(_options(small, large), [each[n] for each in grads], f"module '{three.name}'")
        for n, (small, large) in enumerate(zip(two.outputs, three.outputs, strict=True))
    )
    minor = any(layout.kind == "minor" for layout in outputs)
    inputs = []
    for small, large in zip(two.inputs, three.inputs, strict=True):
        options = _options(small, large)
        liked = [o for o in options if o.kind != ("major" if minor else "minor")]
        inputs.append((liked or [SHARED])[0])
    return ModuleLayout(tuple(inputs), outputs)


def _options(two: Any, three: Any) -> list[Layout]:
    if not isinstance(two, Tensor) or not isinstance(three, Tensor):
        return [SHARED]
    found = list(candidates(two.shape, three.shape))
    if not found:
        raise InseparableError("an argument of a layer has another shape in each batch")
    return found


def _owned(options: Sequence[Layout], grads: Sequence[Tensor | None], words: str) -> Layout:
    """The first layout under which the gradient of each example's value lies in that example's part."""
    for layout in options:
        if layout == SHARED or all(g is None or _in_part(g, layout, n) for n, g in enumerate(grads)):
            return layout
    raise InseparableError(f"{words} does not see the examples of a batch one beside the other")


def _in_part(grad: Tensor, layout: Layout, example: int) -> bool:
    parts = layout.part(grad, 3).detach()
    others = torch.cat([parts[:example], parts[example + 1 :]])
    return bool(others.norm() <= 1e-6 * parts.norm())
