"""Count the memory of a gradient pass from the shapes of its tensors, the same on every machine.

A pass holds what autograd saves for its backward pass, the gradients of all layers' outputs, and a few copies of the widest
output, which a vocabulary's logits need on their way to a loss and back.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
PASSES = 2
"""Gradients of all outputs that are held together: those of a batch, and those that are weighed otherwise in a check."""
EVERY_S = 0.5
_returned = [0.0]


def saved_bytes(model: nn.Module, run: Callable[[], Tensor]) -> int:
    """Count the bytes that autograd saves in a forward pass, without the model's own tensors.

    Args:
        model: The network.
        run: Runs the pass, and returns what would be differentiated.
    """
    kept: dict[int, torch.UntypedStorage] = {}  # a storage that is freed would give its place to another
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor.detach()  # an output that its own node saved as it is would never be freed

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for place, storage in kept.items() if place not in own)


def factor_bytes(gradients: BatchGradients) -> int:
    """Count the bytes of the gradients of all layers' outputs, and of copies of the widest."""
    sizes = [
        use.left.values_NTD.untyped_storage().nbytes()
        for gradient in gradients.blocks.values()
        for use in gradient.uses
        if isinstance(use.left, DenseFactor)
    ]
    return PASSES * sum(sizes) + COPIES * max(sizes, default=0)


def return_memory() -> None:
    """Give freed memory back to the operating system, at most twice a second.

    The GNU C library keeps freed blocks of a few megabytes, as layers' outputs are. Batches of unlike lengths would leave
    gigabytes of them behind. Elsewhere nothing is done.
    """
    now = time.monotonic()
    if sys.platform != "linux" or now - _returned[0] < EVERY_S:
        return
    _returned[0] = now
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
