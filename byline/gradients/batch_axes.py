"""Learn a model's batch axes: the axis of each operation's output that runs over the examples.

Shapes say which axes may be it. The gradients of single examples' values say which one is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from byline.gradients.capture.faults import InseparableError
from byline.gradients.capture.trace import ModuleCall, OperationCall, record_trace
from byline.gradients.collector import GradientCollector
from byline.gradients.passes.batch import BatchPass, Separation, owner
from byline.gradients.passes.layouts import SHARED, Layout, candidates
from byline.gradients.passes.module_gradients import ModuleLayout
from byline.task import Batch, Objective

Sample = Callable[[int], Batch]
"""Makes a collated batch of the first n of three fixed examples, of which the third equals the first."""

Call = TypeVar("Call", OperationCall, ModuleCall)


def learn_separation(collector: GradientCollector, objective: Objective, sample: Sample) -> Separation:
    """Learn from batches of two and of three examples.

    Args:
        collector: The model's collector.
        objective: The differentiated function.
        sample: Batches of the first n of three examples.

    Raises:
        InseparableError: Some operation's batches have no common layout.
    """
    two, three = (_watched_pass(collector, objective, sample(count)) for count in (2, 3))
    if any(call.is_lost(three.graph, collector.parameters) for call in three.trace.operations):
        collector.copies = True
        two, three = (_watched_pass(collector, objective, sample(count)) for count in (2, 3))
    differentiated = _differentiated(collector, (two, three))
    values = [three.edge_gradients(weights, keep=True) for weights in ([1, 0, 0], [0, 1, 0])]
    operations, modules = {}, {}
    cut = len(three.trace.operations)
    pairs = _paired(two.trace.operations, three.trace.operations)
    for place, (small, large) in enumerate(pairs):
        leading = 1 if large.operation.trailing is None else None
        grads = [found[place][0] for found in values]
        operations[large.place] = _operation_layout(small, large, grads, leading)
    for place, (before, after) in enumerate(_paired(two.trace.modules, three.trace.modules)):
        if after.name in differentiated:
            grads_of = [found[cut + place] for found in values]
            modules[after.place] = _module_layout(before, after, grads_of)
    return Separation(operations, modules, differentiated)


def _watched_pass(collector: GradientCollector, objective: Objective, batch: Batch) -> BatchPass:
    modules = _watchable(collector.model, collector.names)
    watched = collector.trace_targets(modules)
    with collector.differentiable(), record_trace(watched, lambda _place, output: output) as trace:
        values_N = objective(collector.model, batch)
    return BatchPass(trace, values_N, Separation(), collector.index, collector.parameters)


def _watchable(model: nn.Module, names: Mapping[int, str]) -> dict[str, nn.Module]:
    """Modules that may be differentiated on their own input: those that own parameters, or use their children's."""
    inside = {
        m for found in model.modules() if isinstance(found, ParametrizationList) for m in found.modules()
    }
    return {
        name: module
        for name, module in model.named_modules()
        if module not in inside
        and (is_parametrized(module) or any(id(p) in names for p in module.parameters(recurse=False)))
    }


def _differentiated(collector: GradientCollector, passes: Sequence[BatchPass]) -> dict[str, frozenset[str]]:
    """Module -> parameters that something else than captured operations reads inside its calls."""
    found: dict[str, set[str]] = {}
    for passed in passes:
        used = passed.graph.reads
        for name, parameter in collector.parameters.items():
            spans = [call.span for call in passed.trace.operations if name in call.parameters]
            for moment in used.get(id(parameter), ()):
                if any(span.holds(moment) for span in spans):
                    continue
                call = owner(passed.trace.modules, moment, parameter)
                if call is None:
                    raise InseparableError(f"parameter '{name}' is used outside the layers that are captured")
                found.setdefault(call.name, set()).add(name)
    return {name: frozenset(parameters) for name, parameters in found.items()}


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
    return _owned(options, grads, f"the layer with '{three.place[1]}'")


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
