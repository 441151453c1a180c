"""The one place where hooks are registered: capturing a model's calls, and dropping its features.

Hooks live for one `with` block, belong to the thread that entered it, and leave nothing on the model.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.layers import first_tensor


@dataclass
class RecordedCall:
    """One call of a hooked module; `output_grad` is filled in by the backward pass."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    versions: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_grad: Tensor | None = None

    def check_unchanged(self) -> None:
        """Hold that the inputs are still what the module saw.

        Raises:
            UnsupportedModel: Something wrote into them after the call.
        """
        if _versions(self.args, self.kwargs) != self.versions:
            raise UnsupportedModel(
                f"the input of module '{self.name}' was changed in place after the call, so its gradient is lost: "
                f"make that operation out of place, or exclude the module from Task.layers"
            )


@dataclass
class Recording:
    """What one forward pass left: the calls in order, and the tensors where differentiation may stop."""

    calls: list[RecordedCall] = field(default_factory=list)
    anchors: list[Tensor] = field(default_factory=list)


Expand = Callable[[str, Tensor], Tensor]
"""(module name, output) -> the output with one slice an example, where the model shares it among them."""


@contextmanager
def recording(modules: Mapping[str, nn.Module], expand: Expand) -> Iterator[Recording]:
    """Record the calls of modules, and the gradients of their outputs when backward runs.

    Parameters must not require gradients: the first hooked outputs then become the leaves of the graph,
    and backward computes no parameter's gradient at all.

    Args:
        modules: Name -> module.
        expand: Applied to each output before anything else sees it.

    Yields:
        The recording, filled in while the model runs.
    """
    record, thread = Recording(), threading.get_ident()

    def capture(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            if threading.get_ident() != thread:
                return None
            tensor = expand(name, first_tensor(output))
            if not tensor.requires_grad:
                anchor = tensor.detach().requires_grad_()
                record.anchors.append(anchor)
                # Not the leaf itself: what follows may write into it, which autograd forbids for leaves.
                tensor = anchor.clone()
            call = RecordedCall(
                name=name,
                args=tuple(map(_detached, args)),
                kwargs={key: _detached(value) for key, value in kwargs.items()},
                versions=_versions(args, kwargs),
                output_shape=tuple(tensor.shape),
            )
            record.calls.append(call)

            def keep(grad: Tensor) -> None:
                call.output_grad = grad

            tensor.register_hook(keep)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return (tensor, *output[1:]) if isinstance(output, tuple | list) else tensor

        return hook

    handles = [m.register_forward_hook(capture(name), with_kwargs=True) for name, m in modules.items()]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def multiplied_outputs(factors: Mapping[str, Callable[[Tensor], Tensor]], model: nn.Module) -> Iterator[None]:
    """Multiply the outputs of some modules: how a seeded dropout mask is applied without touching the model.

    Args:
        factors: Module name -> function from its output to what multiplies it.
        model: Where the names are looked up.

    Yields:
        Nothing; the model is itself again afterwards.
    """
    thread = threading.get_ident()

    def multiply(factor: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
            return output * factor(output) if threading.get_ident() == thread else None

        return hook

    handles = [model.get_submodule(n).register_forward_hook(multiply(f)) for n, f in factors.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def last_input(model: nn.Module, run: Callable[[], object]) -> Tensor:
    """Run a model, and take what its last layer was given.

    Args:
        model: Its last layer is the module with parameters of its own that is called last.
        run: Calls the model.

    Returns:
        The first tensor among that call's arguments.

    Raises:
        UnsupportedModel: No such module was called with a tensor.
    """
    seen: list[Tensor] = []
    thread = threading.get_ident()

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if tensors and threading.get_ident() == thread:
            seen[:] = tensors[:1]

    owners = [m for m in model.modules() if next(m.parameters(recurse=False), None) is not None]
    handles = [m.register_forward_pre_hook(hook, with_kwargs=True) for m in owners]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise UnsupportedModel(
            "expected a model that calls a module with parameters on a tensor, found none: declare Task.representation"
        )
    return seen[0]


def _versions(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(a._version for a in (*args, *kwargs.values()) if isinstance(a, Tensor))


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
