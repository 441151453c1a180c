"""Record a forward pass: the operations that read parameters, and the calls of some modules."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from byline.gradients.capture.graph import ForwardGraph, Span, now
from byline.gradients.capture.hooks import attention_fast_path_disabled, observed_calls
from byline.gradients.capture.operations import OPERATIONS, Application, CapturedOperation

Place = tuple[str, str, int]
"""(operation or "module", parameter or module, how many such calls came before): names a call within a forward pass."""
Spread = Callable[[Place, Tensor], Tensor]
"""(call, its output) -> the output with one slice an example, where the examples share it."""


@dataclass(frozen=True)
class OperationCall:
    """One operation that read a parameter as its weight or bias."""

    place: Place
    operation: CapturedOperation
    application: Application
    """Its input detached, its weight and bias left out."""
    weight: str | None
    """Names of the parameters that it is captured for."""
    bias: str | None
    span: Span
    edge: GradientEdge
    """Edge of autograd's graph at which the output's gradient arrives, even if the output is overwritten later."""
    shape: tuple[int, ...]
    """Shape of the output."""
    version: int
    output: Tensor | None = None
    """Detached, where it is a view of another tensor."""
    output_version: int = 0

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those that it is captured for."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)

    @property
    def changed(self) -> bool:
        """Whether something wrote into the input after the call."""
        return self.application.input._version != self.version

    def is_lost(self, graph: ForwardGraph, parameters: Mapping[str, Tensor]) -> bool:
        """Tell whether the values depend on the call, and not through its output as it was.

        Autograd drops the history of an output that is a view of another tensor when something writes into it.
        """
        overwritten = self.output is not None and self.output._version != self.output_version
        if self.edge.node in graph.nodes and not overwritten:
            return False
        moments = (m for name in self.parameters for m in graph.reads.get(id(parameters[name]), ()))
        return any(self.span.holds(moment) for moment in moments)


@dataclass(frozen=True)
class ModuleCall:
    """One call of a watched module."""

    place: Place
    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    span: Span
    outputs: tuple[Tensor | None, ...]
    """Detached leaves of what it returned. None where a leaf is no tensor that was differentiated."""
    edges: tuple[GradientEdge | None, ...]
    versions: tuple[int, ...]
    output_versions: tuple[int, ...]
    views: tuple[bool, ...]
    """Flags of outputs that are views of other tensors: autograd drops their history when something writes into them."""

    @property
    def inputs(self) -> list[Any]:
        """Leaves of its arguments, in a fixed order."""
        return pytree.tree_leaves((self.args, dict(self.kwargs)))

    @property
    def changed(self) -> bool:
        """Whether something wrote into the arguments, or into a view that it returned, after the call."""
        lost = any(view and written for view, written in zip(self.views, self.overwritten, strict=True))
        return _versions(self.inputs) != self.versions or lost

    @property
    def overwritten(self) -> tuple[bool, ...]:
        """Flags of outputs that were overwritten after the call."""
        return tuple(
            leaf is not None and leaf._version != version
            for leaf, version in zip(self.outputs, self.output_versions, strict=True)
        )


@dataclass
class Trace:
    """The calls of one forward pass, in their order."""

    operations: list[OperationCall] = field(default_factory=list)
    modules: list[ModuleCall] = field(default_factory=list)


@dataclass(frozen=True)
class TraceTargets:
    """The parameters and modules that a trace records."""

    names: Mapping[int, str]
    """`id(parameter)` -> name, of the attributed parameters."""
    forms: Mapping[str, str]
    """Parameter -> the form of its block, or "bias" where it is folded into one."""
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    """Modules whose calls are recorded."""
    copies: bool = False
    """Copy outputs that are views of other tensors, since the model writes into some."""


@contextmanager
def record_trace(watched: TraceTargets, spread: Spread) -> Iterator[Trace]:
    """Record a forward pass of this thread.

    Args:
        watched: Targets of the trace.
        spread: Applied to every output that is recorded, before the model goes on with it.

    Yields:
        The trace, filled in while the model runs.
    """
    trace = Trace()
    numbers: Counter[tuple[str, str]] = Counter()

    def place(kind: str, name: str) -> Place:
        numbers[kind, name] += 1
        return kind, name, numbers[kind, name] - 1

    def called(name: str, module: nn.Module, call: tuple[Any, Any], span: Span, output: Any) -> Any:
        where = place("module", name)
        leaves, structure = pytree.tree_flatten(output)
        if sum(map(_differentiated, leaves)) > 1:
            # One output may be made of another: copies tell what depends on it directly from what does by the other.
            leaves = [leaf.clone() if _differentiated(leaf) else leaf for leaf in leaves]
            span = Span(span.begin, now())
        leaves = [spread(where, leaf) if _differentiated(leaf) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_map(_detached, call)
        made = ModuleCall(
            place=where,
            name=name,
            module=module,
            args=args,
            kwargs=kwargs,
            span=span,
            outputs=tuple(leaf.detach() if _differentiated(leaf) else None for leaf in leaves),
            edges=tuple(get_gradient_edge(leaf) if _differentiated(leaf) else None for leaf in leaves),
            versions=_versions(pytree.tree_leaves((args, kwargs))),
            output_versions=tuple(leaf._version if _differentiated(leaf) else 0 for leaf in leaves),
            views=tuple(_differentiated(leaf) and leaf._is_view() for leaf in leaves),
        )
        trace.modules.append(made)
        return pytree.tree_unflatten(leaves, structure)

    watching = observed_calls(watched.modules, now, called)
    capture = _Capture(watched, trace, place, spread)
    with attention_fast_path_disabled(), _autocast_cache_disabled(), watching, capture:
        yield trace


@contextmanager
def _autocast_cache_disabled() -> Iterator[None]:
    """Let autograd see every read of a parameter: autocast's cache hides all but the first."""
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(cached)


class _Capture(TorchFunctionMode):
    """Sees every function of torch that the model calls."""

    def __init__(
        self, watched: TraceTargets, trace: Trace, place: Callable[[str, str], Place], spread: Spread
    ) -> None:
        super().__init__()
        self._watched, self._trace, self._place, self._spread = watched, trace, place, spread

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        operation = OPERATIONS.get(func)
        if operation is None:
            return func(*args, **kwargs)
        begin = now()
        output = func(*args, **kwargs)
        application = operation.bind(*args, **kwargs)
        if application is None or not _differentiated(output):
            return output
        return self._record(operation, application, begin, output)

    def _record(
        self, operation: CapturedOperation, application: Application, begin: int, output: Tensor
    ) -> Tensor:
        weight = self._name(application.weight, {operation.form})
        fits = application.bias is not None and (
            operation.form == "vector" or tuple(application.bias.shape) == operation.features(output)
        )
        bias = self._name(application.bias, {"vector", "bias"}) if fits else None
        wrapped = torch._C._functorch.is_functorch_wrapped_tensor(application.input)
        if (weight is None and bias is None) or wrapped:
            return output
        where = self._place(operation.name, weight or bias or "")
        span = Span(begin, now())
        output = self._spread(where, output)
        if self._watched.copies and output._is_view():
            output = output.clone()
        call = OperationCall(
            place=where,
            operation=operation,
            application=Application(application.input.detach(), None, None, application.settings),
            weight=weight,
            bias=bias,
            span=span,
            edge=get_gradient_edge(output),
            shape=tuple(output.shape),
            version=application.input._version,
            output=output.detach() if output._is_view() else None,
            output_version=output._version,
        )
        self._trace.operations.append(call)
        return output

    def _name(self, parameter: Tensor | None, forms: set[str]) -> str | None:
        name = self._watched.names.get(id(parameter))
        return name if name is not None and self._watched.forms[name] in forms else None


def _differentiated(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.grad_fn is not None


def _detached(leaf: Any) -> Any:
    return leaf.detach() if isinstance(leaf, Tensor) else leaf


def _versions(leaves: list[Any]) -> tuple[int, ...]:
    return tuple(leaf._version for leaf in leaves if isinstance(leaf, Tensor))
