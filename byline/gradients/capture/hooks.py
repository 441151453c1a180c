"""Register hooks, in this module alone: to observe a model's calls, and to drop its features.

Hooks live for one `with` block, belong to the thread that entered it, and leave nothing on the model.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from byline.errors import UnsupportedModel
from byline.gradients.capture.graph import Span

Called = Callable[[str, nn.Module, tuple[Any, Any], Span, Any], Any]
"""(name, module, (args, kwargs), when, output) -> the output that the model goes on with."""


@contextmanager
def observed_calls(
    modules: Mapping[str, nn.Module], now: Callable[[], int], called: Called
) -> Iterator[None]:
    """Tell a function about every call of some modules, from before a module's own hooks to after them.

    Args:
        modules: Name -> module.
        now: Number of the next operation.
        called: Called at the end of each call.

    Yields:
        Nothing. The modules are themselves again afterwards.
    """
    thread, begun = threading.get_ident(), list[int]()

    def begin(_module: nn.Module, _args: Any, _kwargs: Any) -> None:
        if threading.get_ident() == thread:
            begun.append(now())

    def end(name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            if threading.get_ident() != thread:
                return None
            return called(name, module, (args, kwargs), Span(begun.pop(), now()), output)

        return hook

    handles: list[RemovableHandle] = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(begin, with_kwargs=True, prepend=True))
        handles.append(module.register_forward_hook(end(name), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


Factor = Callable[[Tensor], Tensor | None]
"""A module's output -> what multiplies it. None leaves it as it is."""


@contextmanager
def multiplied_outputs(factors: Mapping[str, Factor], model: nn.Module) -> Iterator[None]:
    """Multiply the outputs of some modules: how a seeded dropout mask is applied without touching the model.

    Args:
        factors: Module name -> function from its output to what multiplies it.
        model: The model that has the names.

    Yields:
        Nothing. The model is itself again afterwards.
    """

    def multiply(name: str, output: Tensor) -> Tensor | None:
        factor = factors[name](output)
        return None if factor is None else output * factor

    modules = {name: model.get_submodule(name) for name in factors}
    with observed_outputs(modules, multiply), attention_fast_path_disabled():
        yield


@contextmanager
def attention_fast_path_disabled() -> Iterator[None]:
    """Keep torch's transformers from their fast path, which fuses layers and packs batches into nested tensors.

    Yields:
        Nothing. The fast path is as it was afterwards.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def observed_outputs(
    modules: Mapping[str, nn.Module], look: Callable[[str, Tensor], object]
) -> Iterator[None]:
    """Look at the outputs of some modules, each one tensor.

    Args:
        modules: Name -> module.
        look: Called with a module's name and its output. A returned tensor replaces the output.

    Yields:
        Nothing. The modules are themselves again afterwards.
    """
    thread = threading.get_ident()

    def looking(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
            if threading.get_ident() != thread:
                return None
            found = look(name, output)
            return found if isinstance(found, Tensor) else None

        return hook

    handles = [module.register_forward_hook(looking(name)) for name, module in modules.items()]
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
