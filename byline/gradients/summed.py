"""The gradient of a sum over examples, by one backward pass: no example's own gradient is formed."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from byline.gradients.assembly import dense
from byline.gradients.blocks import Block


def summed_gradient(
    model: nn.Module, blocks: Sequence[Block], total: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """Differentiate a number by the attributed parameters.

    Args:
        model: The network.
        blocks: Its attributed blocks.
        total: Runs the model and returns the number.

    Returns:
        Parameter name -> gradient, shaped like the parameter; zeros where the parameter takes no part.
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
    return {n: torch.zeros_like(p) if g is None else dense(g) for n, p, g in pairs}
