"""Device and precision of a model's passes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from byline.task import Batch

CPU = torch.device("cpu")
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Device and precision of a model's passes."""

    device: torch.device = CPU
    """`cuda` computes there. Features come back the same to rounding."""
    precision: Precision = "float32"
    """`bfloat16` runs the model's passes under autocast. Everything after them stays in float32."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch. Everything else stays as it is."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        # Hugging Face's BatchEncoding and the like are mappings that models are called with: `**batch`.
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [to_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
