"""Count the memory of a gradient pass from the shapes of its tensors, the same on every machine.

A pass holds what autograd saves for its backward pass, the gradients of all layers' outputs, and a few copies of the widest
output, which a vocabulary's logits need on their way to a loss and back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from byline.gradients.outer_products.factors import BatchGradients, DenseFactor


@dataclass(frozen=True)
class PassCost:
    """Cost of one item's gradient."""

    size: int
    """Bytes beside the model, the same on every machine."""
    seconds: float


COPIES = 4
"""Copies of the widest layer's output: the log probabilities, their gradient, and two while they are projected."""


def saved_bytes(model: nn.Module, run: Callable[[], Tensor]) -> int:
    """Count the bytes that autograd saves in a forward pass, without the model's own tensors.

    Args:
        model: The network.
        run: Runs the pass, and returns what would be differentiated.
    """
    sizes: dict[int, int] = {}
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # an output that its own node saved as it is would never be freed

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = run()
    total = sum(size for place, size in sizes.items() if place not in own)
    del value  # until here no storage's place was given to another
    return total


def factor_bytes(gradients: BatchGradients) -> int:
    """Count the bytes of the gradients of all layers' outputs, and of copies of the widest."""
    sizes = [
        use.left.values_NTD.untyped_storage().nbytes()
        for gradient in gradients.blocks.values()
        for use in gradient.uses
        if isinstance(use.left, DenseFactor)
    ]
    return sum(sizes) + COPIES * max(sizes, default=0)
