"""Differentiate modules that no captured operation explains on their own input: example by example, vectorized.

Shapes: N examples.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vjp, vmap
from torch.utils import _pytree as pytree

from byline.gradients.capture.faults import InseparableError
from byline.gradients.capture.trace import ModuleCall
from byline.gradients.passes.assembly import full_precision, to_dense
from byline.gradients.passes.layouts import SHARED, Layout


@dataclass(frozen=True)
class ModuleLayout:
    """The layouts of a module's call."""

    inputs: tuple[Layout, ...]
    """Layouts of the arguments' leaves. Shared where a leaf is not a tensor."""
    outputs: tuple[Layout, ...]
    """Layouts of the output's leaves."""

    def fits(self, call: ModuleCall, count: int) -> bool:
        """Tell whether a call is of a batch of N examples."""
        leaves = call.inputs
        return (
            len(leaves) == len(self.inputs)
            and len(call.outputs) == len(self.outputs)
            and all(
                layout.fits(leaf.shape, count)
                for layout, leaf in zip(self.inputs + self.outputs, [*leaves, *call.outputs], strict=True)
                if isinstance(leaf, Tensor)
            )
        )


def module_gradients(
    call: ModuleCall,
    output_grads: Sequence[Tensor | None],
    layout: ModuleLayout,
    parameters: Mapping[str, Tensor],
    count: int,
) -> dict[str, Tensor]:
    """Differentiate a module's parameters for every example of one call.

    Args:
        call: Its arguments.
        output_grads: Gradients of the leaves of what it returned. None where nothing depends on one.
        layout: Layouts of the call.
        parameters: The module's own name for a parameter -> parameter.
        count: N.

    Returns:
        The module's own name -> [N, *shape].
    """
    leaves, structure = pytree.tree_flatten((call.args, dict(call.kwargs)))
    single = _Single(call, structure, leaves, [g is not None for g in output_grads])
    values = {name: full_precision(p.detach()) for name, p in parameters.items()}
    grads = [
        _part(g, own, count) for g, own in zip(output_grads, layout.outputs, strict=True) if g is not None
    ]
    places = [n for n, own in enumerate(layout.inputs) if own != SHARED]
    parts = [_part(leaves[n], layout.inputs[n], count) for n in places]

    def pulled_back(grads: list[Tensor], parts: list[Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
        own = dict(zip(places, parts, strict=True))
        outputs, pull = vjp(lambda w: single.outputs(w, own), values)[:2]
        return dict(pull(grads)[0]), outputs

    wanted = [
        None if written or output is None else _part(output, own, count)
        for output, own, grad, written in zip(
            call.outputs, layout.outputs, output_grads, call.overwritten, strict=True
        )
        if grad is not None
    ]
    try:
        with _quiet_fallbacks():
            found, outputs = vmap(pulled_back)(grads, parts)
        _refuse_other(call, outputs, wanted)
        return dict(found)
    except (InseparableError, torch.OutOfMemoryError):
        raise
    except Exception:  # any error of an operator that cannot be vectorized; the loop below is exact
        rows = [dict(zip(places, each, strict=True)) for each in _rows(parts, count)]
        return _one_by_one(single, values, grads, rows, wanted)


@contextmanager
def _quiet_fallbacks() -> Iterator[None]:
    """Without torch's line about each operation of another library that it loops over."""
    functorch: Any = torch._C._functorch
    functorch._set_vmap_fallback_warning_enabled(False)  # noqa: FBT003  # torch's own
    try:
        yield
    finally:
        functorch._set_vmap_fallback_warning_enabled(True)  # noqa: FBT003


@dataclass(frozen=True)
class _Single:
    """A module's call for one example."""

    call: ModuleCall
    structure: Any
    leaves: list[Any]
    wanted: list[bool]

    def outputs(self, values: Mapping[str, Tensor], own: Mapping[int, Tensor]) -> list[Tensor]:
        """List the leaves of the module's output that something depends on."""
        given = [own.get(n, _precise(leaf)) for n, leaf in enumerate(self.leaves)]
        args, kwargs = pytree.tree_unflatten(given, self.structure)
        returned = functional_call(self.call.module, dict(values), args, kwargs)
        found = [
            leaf for leaf, wanted in zip(pytree.tree_leaves(returned), self.wanted, strict=True) if wanted
        ]
        return [full_precision(leaf) for leaf in found]


def _one_by_one(
    single: _Single,
    values: Mapping[str, Tensor],
    grads: list[Tensor],
    rows: list[dict[int, Tensor]],
    wanted: list[Tensor | None],
) -> dict[str, Tensor]:
    found = []
    for n, own in enumerate(rows):
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
            outputs = single.outputs(leaves, own)
        _refuse_other(
            single.call,
            [o.detach()[None] for o in outputs],
            [None if w is None else w[n : n + 1] for w in wanted],
        )
        grads_n = torch.autograd.grad(
            outputs, list(leaves.values()), [g[n] for g in grads], materialize_grads=True
        )
        found.append([to_dense(grad) for grad in grads_n])
    return {name: torch.stack([each[place] for each in found]) for place, name in enumerate(values)}


def _refuse_other(call: ModuleCall, found: Sequence[Tensor], wanted: Sequence[Tensor | None]) -> None:
    """Require that the module gives the same again, for each example alone.

    Raises:
        InseparableError: It knows more than its arguments.
    """
    for one, other in zip(found, wanted, strict=True):
        if other is None:  # overwritten since
            continue
        rounding = max(1e-3, 4 * max(torch.finfo(o.dtype).eps for o in call.outputs if o is not None))
        if one.shape != other.shape or bool((one - other).norm() > rounding * other.norm() + 1e-12):
            raise InseparableError(f"module '{call.name}' does not depend on its arguments alone")


def _rows(parts: list[Tensor], count: int) -> list[list[Tensor]]:
    return [[part[n] for part in parts] for n in range(count)]


def _part(tensor: Tensor, layout: Layout, count: int) -> Tensor:
    """The examples' parts. A shared output's gradient has them in front already."""
    tensor = full_precision(tensor)
    return tensor if layout == SHARED else layout.part(tensor, count)


def _precise(leaf: Any) -> Any:
    return full_precision(leaf) if isinstance(leaf, Tensor) else leaf
