"""The table of captured operations, each with its outer products of an input and an output's gradient.

What is captured is the operation that reads a parameter, not the module that owns it: `F.linear(x, self.head.weight)`, a
subclass of `nn.Embedding` and a tied weight are the same operations as those of plain modules.

Shapes: `...` leading axes of an operation's output (examples, positions), O rows and I columns of a weight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from byline.gradients.outer_products.blocks import Form


@dataclass(frozen=True)
class Application:
    """The arguments of one call of an operation."""

    input: Tensor
    weight: Tensor | None
    bias: Tensor | None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Products:
    """Products that add up to the gradients of a weight and a bias over the leading axes."""

    left: Tensor
    """[..., O], or int64 [...]: the rows of an embedding, named by their numbers."""
    right: Tensor | None
    """[..., I]. None where the weight's gradient is `left` itself, added up."""
    bias: Tensor | None
    """[..., O]: the bias's gradient before it is added up."""

    @property
    def carrier(self) -> Tensor:
        """The side that is zero where a position does not count: what came from the output's gradient."""
        if self.bias is not None:
            return self.bias
        return self.left if self.left.is_floating_point() or self.right is None else self.right


@dataclass(frozen=True)
class CapturedOperation:
    """One kind of captured operation."""

    name: str
    bind: Callable[..., Application | None]
    """The call's arguments -> what matters of them. None where this call cannot be captured."""
    products: Callable[[Tensor, Tensor, Mapping[str, Any]], Products]
    """(input, gradient of the output, settings) -> outer products."""
    form: Form
    """The form of the blocks whose weights it can be captured for."""
    trailing: int | None = 1
    """Axes of the input behind the leading ones. None where it has no position of its own for each example."""

    def features(self, output: Tensor) -> tuple[int, ...]:
        """Compute the shape that a bias must have: a bias that is broadcast in another way is not captured."""
        return (output.shape[1 if self.trailing is None else -1],)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Application:  # noqa: A002  # torch's names
    return Application(input, weight, bias)


def _linear_products(input_I: Tensor, grad_O: Tensor, _settings: Mapping[str, Any]) -> Products:
    return Products(grad_O, input_I, grad_O)


def _addmm(
    input: Tensor,  # noqa: A002
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Application | None:
    return Application(mat1, mat2, input if input.dim() == 1 else None) if beta == alpha == 1 else None


def _embedding(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    *_: Any,
    scale_grad_by_freq: bool = False,
    **_others: Any,
) -> Application | None:
    if max_norm is not None or scale_grad_by_freq:
        return None
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    return Application(input, weight, None, {"padding_idx": padding_idx})


def _embedding_products(indices: Tensor, grad_D: Tensor, settings: Mapping[str, Any]) -> Products:
    if settings["padding_idx"] is not None:
        grad_D = grad_D * (indices != settings["padding_idx"])[..., None]
    return Products(indices.long(), grad_D, None)


def _convolution(  # noqa: PLR0913, PLR0917  # torch's parameters
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Application | None:
    if groups != 1 or input.dim() != weight.dim():
        return None
    kernel = tuple(weight.shape[2:])
    settings: dict[str, Any] = {
        "kernel": kernel,
        "stride": _each(stride, len(kernel)),
        "dilation": _each(dilation, len(kernel)),
    }
    settings["padding"] = _both_sides(padding, kernel, settings["dilation"])
    return Application(input, weight, bias, settings)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def _both_sides(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((size, size) for size in _each(padding, len(kernel)))


def _convolution_products(input_NCX: Tensor, grad_NOX: Tensor, settings: Mapping[str, Any]) -> Products:
    """Convolution as a linear layer over patches: one position for each place of the kernel."""
    sides = [size for pair in reversed(settings["padding"]) for size in pair]
    padded = F.pad(input_NCX, sides) if any(sides) else input_NCX
    one_dimensional = len(settings["kernel"]) == 1
    if one_dimensional:
        padded = padded[:, :, None, :]
    ones = (1,) * one_dimensional
    patches_NIT = F.unfold(
        padded,
        ones + settings["kernel"],
        dilation=ones + settings["dilation"],
        stride=ones + settings["stride"],
    )
    grad_NTO = grad_NOX.flatten(2).transpose(1, 2)
    return Products(grad_NTO, patches_NIT.transpose(1, 2), grad_NTO)


def _layer_norm(
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Application:
    return Application(
        input, weight, bias, {"shape": list(normalized_shape), "eps": eps, "norm": F.layer_norm}
    )


def _rms_norm(
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Application:
    return Application(input, weight, None, {"shape": list(normalized_shape), "eps": eps, "norm": F.rms_norm})


def _norm_products(input_D: Tensor, grad_D: Tensor, settings: Mapping[str, Any]) -> Products:
    axes = len(settings["shape"])
    normalized_D = settings["norm"](input_D, settings["shape"], eps=settings["eps"])
    flat = (grad_D * normalized_D).flatten(-axes), grad_D.flatten(-axes)
    return Products(flat[0], None, flat[1])


LINEAR = CapturedOperation("linear", _linear, _linear_products, "matrix")
ADDMM = CapturedOperation("addmm", _addmm, _linear_products, "transposed")
EMBEDDING = CapturedOperation("embedding", _embedding, _embedding_products, "matrix", trailing=0)
CONVOLUTION = CapturedOperation("convolution", _convolution, _convolution_products, "matrix", trailing=None)
LAYER_NORM = CapturedOperation("layer_norm", _layer_norm, _norm_products, "vector")
RMS_NORM = CapturedOperation("rms_norm", _rms_norm, _norm_products, "vector")

OPERATIONS: dict[Any, CapturedOperation] = {
    F.linear: LINEAR,
    torch.addmm: ADDMM,
    F.embedding: EMBEDDING,
    F.conv1d: CONVOLUTION,
    F.conv2d: CONVOLUTION,
    F.layer_norm: LAYER_NORM,
    F.rms_norm: RMS_NORM,
}
"""torch's function -> its capture. Other functions are differentiated as a whole module, or by autograd."""
