"""Assemble the outer products of blocks from captured operations and finished gradients.

Shapes: N examples, T positions, O rows and I columns of a block. `...` leading axes of an operation's output.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from byline.gradients.capture.operations import Products
from byline.gradients.capture.trace import OperationCall
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import DenseFactor, Factor, KroneckerGradient, OneHotFactor, Use
from byline.gradients.outer_products.tensors import matrix_use

Arrange = Callable[[Tensor], Tensor]
"""[..., D] -> [N, T, D]."""


class BlockIndex:
    """Finds the block of a parameter.

    Args:
        blocks: Attributed parameter blocks.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        self._of = {name: block for block in blocks for name in block.parameters}
        self.forms = {n: b.form if n == b.name else "bias" for n, b in self._of.items()}
        """Parameter -> its block's form, or "bias" where it is the last column of one."""
        self.rows = {name: block.rows for name, block in self._of.items()}
        """Parameter -> O of its block."""

    def __getitem__(self, parameter: str) -> Block:
        return self._of[parameter]


def full_precision(tensor: Tensor) -> Tensor:
    """Leave mixed precision: what follows the model's own passes is float32 at least."""
    return tensor.float() if tensor.dtype in {torch.bfloat16, torch.float16} else tensor


def to_dense(grad: Tensor) -> Tensor:
    """Write a gradient out: that of an embedding with `sparse=True` is sparse."""
    return grad.to_dense() if grad.is_sparse else grad


def outer_products(call: OperationCall, grad: Tensor) -> Products:
    """Compute the outer products of a call, given the gradient of its output.

    Where the examples share the call, its output was spread over them, and so is its input here.
    """
    grad, given = full_precision(grad), full_precision(call.application.input)
    trailing = call.operation.trailing
    if trailing is not None:
        given = given.expand(*grad.shape[:-1], *given.shape[given.dim() - trailing :])
    return call.operation.products(given, grad, call.application.settings)


@dataclass(frozen=True)
class Sides:
    """The outer products of one call, arranged by example."""

    left: Factor
    right: Tensor | None
    """[N, T, I]."""
    bias: Tensor | None
    """[N, T, O]."""


def arrange_products(products: Products, arrange: Arrange, width: int) -> Sides:
    """Bring a call's products from leading axes to examples and positions.

    Args:
        products: Over the leading axes.
        arrange: Says which of them are examples.
        width: O.
    """
    if products.left.is_floating_point():
        left: Factor = DenseFactor(arrange(products.left))
    else:
        assert products.right is not None
        left = OneHotFactor(arrange(products.left[..., None])[..., 0], width, products.right.dtype)
    right = None if products.right is None else arrange(products.right)
    same = products.bias is products.left and isinstance(left, DenseFactor)
    if products.bias is None:
        return Sides(left, right, None)
    return Sides(left, right, left.dense() if same else arrange(products.bias))


def block_uses(
    call: OperationCall, sides: Sides, index: BlockIndex, wanted: set[str]
) -> Iterable[tuple[str, Use]]:
    """Turn one call into uses of the blocks that it is captured for.

    Args:
        call: Names its parameters.
        sides: Its products.
        index: Finds blocks.
        wanted: Parameters whose gradients are taken from captured operations. Others are left out.

    Yields:
        Block name, use.
    """
    weight = call.weight if call.weight in wanted else None
    bias = call.bias if call.bias in wanted else None
    if weight is not None:
        block = index[weight]
        folded = len(block.parameters) > 1
        together = folded and bias == block.parameters[1]
        yield block.name, _weight_use(sides, folded=folded, together=together)
        if together:
            return
    if bias is not None and sides.bias is not None:
        block, grad_NO = index[bias], sides.bias.sum(dim=1)
        if block.name == bias:
            yield block.name, vector_use(grad_NO)
        else:
            last_N1 = torch.full((len(grad_NO), 1), block.columns - 1, device=grad_NO.device)
            right = OneHotFactor(last_N1, block.columns, grad_NO.dtype)
            yield block.name, Use(DenseFactor(grad_NO[:, None]), right)


def _weight_use(sides: Sides, *, folded: bool, together: bool) -> Use:
    if sides.right is None:
        return vector_use(sides.left.dense().sum(dim=1))
    if folded and not together:  # this call had another bias, or none
        return Use(sides.left, DenseFactor(torch.nn.functional.pad(sides.right, (0, 1))))
    return Use(sides.left, DenseFactor(sides.right, append_one=together))


def vector_use(grad_NP: Tensor) -> Use:
    """Write a finished gradient as a block of one column."""
    return Use(DenseFactor(grad_NP[:, None, :]), DenseFactor(grad_NP.new_ones(grad_NP.shape[0], 1, 1)))


def tensor_use(block: Block, tensors: Mapping[str, Tensor]) -> Use:
    """Write a finished gradient as outer products.

    Args:
        block: Its block.
        tensors: Parameter name -> [N, *shape].
    """
    if block.form == "vector":
        return vector_use(block.matrix(tensors)[..., 0])
    return matrix_use(block.matrix(tensors))


def zero_use(block: Block, count: int, like: Tensor) -> Use:
    """Write the zero gradient of a block that took no part."""
    like = full_precision(like)
    left, right = like.new_zeros(count, 1, block.rows), like.new_zeros(count, 1, block.columns)
    return Use(DenseFactor(left), DenseFactor(right))


def gather_blocks(
    blocks: Sequence[Block], uses: Iterable[tuple[str, Use]], count: int, like: Tensor
) -> dict[str, KroneckerGradient]:
    """Gather uses by block, with zeros for blocks that have none.

    Args:
        blocks: Attributed parameter blocks.
        uses: Block name, use.
        count: N.
        like: A tensor with the device and the precision.
    """
    gathered: dict[str, list[Use]] = {block.name: [] for block in blocks}
    for name, use in uses:
        gathered[name].append(use)
    return {b.name: KroneckerGradient(gathered[b.name] or [zero_use(b, count, like)]) for b in blocks}


def summed_gradient(
    model: nn.Module, blocks: Sequence[Block], total: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """Differentiate a number by the attributed parameters.

    Args:
        model: The network.
        blocks: Its attributed blocks.
        total: Runs the model and returns the number.

    Returns:
        Parameter name -> gradient, shaped like the parameter. Zeros where the parameter takes no part.
    """
    names = [name for block in blocks for name in block.parameters]
    parameters = dict(model.named_parameters())
    chosen = [parameters[name].requires_grad_() for name in names]
    with torch.enable_grad():
        value = total()
        if not value.requires_grad:
            return {name: torch.zeros_like(p) for name, p in zip(names, chosen, strict=True)}
        grads = torch.autograd.grad(value, chosen, allow_unused=True)
    pairs = zip(names, chosen, grads, strict=True)
    return {n: torch.zeros_like(p) if g is None else to_dense(g) for n, p, g in pairs}
