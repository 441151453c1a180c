"""Digests of weights, and holding what is loaded to the digest that was expected."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from byline.errors import StaleIndex


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors' names, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def hold(what: str, found: str, expected: str | None) -> None:
    """Refuse what was loaded if it is not what an index is made of.

    Args:
        what: Names it to people: `the weights at seed-0.safetensors`.
        found: Digest of what is in memory now.
        expected: What the digest was when the build began, or is in an index's manifest; None holds it to nothing.

    Raises:
        StaleIndex: They differ.
    """
    if expected is not None and found != expected:
        raise StaleIndex(
            f"{what} changed: expected the SHA-256 {expected[:12]}… that the index is made of, got {found[:12]}…: "
            f"restore it, or build again with what is there now"
        )
