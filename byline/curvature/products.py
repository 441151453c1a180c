"""Curvature-vector products: H v without the matrix H, by automatic differentiation.

Of a sum of losses L over a batch, with outputs z, their Jacobian J by the parameters, and Q = d2 L / dz2:

    Hessian                 d2 L / dw2 v     differentiates (dL/dw . v) once more (Pearlmutter 1994)
    Gauss-Newton (GGN)      J^T Q J v        J v by differentiating J^T u by u (the double-backward trick), then
                                             Q by a small Hessian-vector product, then J^T by one backward pass

The GGN is the Hessian without the model's own curvature. It is positive semi-definite, where the Hessian is not. Both
are exact for tied weights, since a parameter is one variable wherever it is used, and in the model's precision.

Shapes: V vectors at once, P numbers of all parameters together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from byline.errors import UnsupportedModel

Matrix = Literal["ggn", "hessian"]
"""A curvature matrix: the Gauss-Newton matrix (positive semi-definite) or the Hessian itself."""
Vectors = dict[str, Tensor]
"""Parameter name -> [V, *parameter shape]."""


def hessian_products(model: nn.Module, total: Callable[[], Tensor], vectors: Mapping[str, Tensor]) -> Vectors:
    """Multiply the Hessian of a number by vectors.

    Args:
        model: The network. Its parameters may be frozen.
        total: Runs the model and returns the number, such as a batch's summed loss.
        vectors: The multiplied vectors. Their names say by which parameters the number is differentiated.

    Returns:
        Parameter name -> [V, *parameter shape], like `vectors`.

    Raises:
        UnsupportedModel: An operation of the model has no second derivative.
    """
    with _differentiable(model, vectors) as chosen, _second_derivatives():
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has a first derivative only
            value = total()
        grads = _gradients(value, chosen)
        return _pulled_back(grads, chosen, vectors)


def ggn_products(
    model: nn.Module,
    outputs: Callable[[], Tensor],
    loss: Callable[[Tensor], Tensor],
    vectors: Mapping[str, Tensor],
) -> Vectors:
    """Multiply the generalized Gauss-Newton matrix J^T Q J of a number by vectors.

    Args:
        model: The network. Its parameters may be frozen.
        outputs: Runs the model and returns its outputs z, of any shape.
        loss: `z -> number`, such as a batch's summed loss; depends on the parameters through z alone.
        vectors: The multiplied vectors. Their names say by which parameters the outputs are differentiated.

    Returns:
        Parameter name -> [V, *parameter shape], like `vectors`.

    Raises:
        UnsupportedModel: An operation of the model or the loss has no second derivative.
    """
    with _differentiable(model, vectors) as chosen, _second_derivatives():
        with sdpa_kernel(SDPBackend.MATH):
            z = outputs()
        u = torch.zeros_like(z, requires_grad=True)
        pulled = _gradients(z, chosen, u)  # J^T u, linear in u
        leaf = z.detach().requires_grad_()
        slope = _gradients(loss(leaf), [leaf])
        count = len(next(iter(vectors.values())))
        found = []
        for place in range(count):
            pushed = _times(pulled, [u], [vectors[name][place] for name in vectors])  # J v
            curved = _times(slope, [leaf], pushed)  # Q J v
            found.append(torch.autograd.grad(z, chosen, curved, retain_graph=True, materialize_grads=True))
        return _stacked(vectors, found)


def directional_derivatives(
    model: nn.Module,
    outputs: Callable[[], Tensor],
    names: Sequence[str],
    directions: Iterable[Sequence[Tensor]],
) -> tuple[Tensor, list[Tensor]]:
    """Differentiate outputs along directions in the parameters: J v, by the double-backward trick.

    Args:
        model: The network. Its parameters may be frozen.
        outputs: Runs the model and returns its outputs z, of any shape.
        names: Parameters that move.
        directions: Each a tensor for every name, shaped like the parameter. They are read one at a time.

    Returns:
        z, and J v of every direction, shaped like z.

    Raises:
        UnsupportedModel: An operation of the model has no second derivative.
    """
    with _differentiable(model, names) as chosen, _second_derivatives():
        with sdpa_kernel(SDPBackend.MATH):
            z = outputs()
        u = torch.zeros_like(z, requires_grad=True)
        pulled = _gradients(z, chosen, u)
        return z.detach(), [_times(pulled, [u], each)[0].detach() for each in directions]


def _pulled_back(grads: Sequence[Tensor], chosen: Sequence[Tensor], vectors: Mapping[str, Tensor]) -> Vectors:
    count = len(next(iter(vectors.values())))
    each = ([vectors[name][place] for name in vectors] for place in range(count))
    return _stacked(vectors, [_times(grads, chosen, one) for one in each])


def _stacked(names: Mapping[str, Tensor], found: Sequence[Sequence[Tensor]]) -> Vectors:
    return {name: torch.stack([one[place] for one in found]) for place, name in enumerate(names)}


def _gradients(value: Tensor, by: Sequence[Tensor], weights: Tensor | None = None) -> tuple[Tensor, ...]:
    """First derivatives that can be differentiated again. Zeros where a variable takes no part."""
    return torch.autograd.grad(value, by, weights, create_graph=True, materialize_grads=True)


def _times(outputs: Sequence[Tensor], by: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Sum of weights times the outputs' derivatives. Zeros where they are constants."""
    pairs = [(o, w.to(o)) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    if not pairs:
        return tuple(torch.zeros_like(each) for each in by)
    kept, weighted = zip(*pairs, strict=True)
    return torch.autograd.grad(kept, by, weighted, retain_graph=True, materialize_grads=True)


@contextmanager
def _differentiable(model: nn.Module, names: Iterable[str]) -> Iterator[list[nn.Parameter]]:
    """Make the named parameters differentiable while the block runs.

    Yields:
        The parameters, in the names' order.
    """
    parameters = dict(model.named_parameters())
    chosen = [parameters[name] for name in names]
    before = [parameter.requires_grad for parameter in chosen]
    for parameter in chosen:
        parameter.requires_grad_()
    try:
        with torch.enable_grad():
            yield chosen
    finally:
        for parameter, needed in zip(chosen, before, strict=True):
            parameter.requires_grad_(needed)


@contextmanager
def _second_derivatives() -> Iterator[None]:
    """Say what is missing where an operation cannot be differentiated twice.

    Yields:
        Nothing.

    Raises:
        UnsupportedModel: Autograd said so.
    """
    try:
        yield
    except RuntimeError as error:
        missing = ("derivative for", "not implemented", "does not support double", "once_differentiable")
        if not any(words in str(error) for words in missing):
            raise
        raise UnsupportedModel(
            f"curvature-vector products need second derivatives, which this model lacks on this device "
            f"({str(error).splitlines()[0]}): take a recipe without them ('ekfac'), or device = 'cpu'"
        ) from error
