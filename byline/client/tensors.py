"""A safetensors body that the client writes while it sends it, one mebibyte at a time.

The format has eight bytes with the length of the header, a JSON header with the type, shape and offsets of each tensor,
and the bytes of the tensors in order (little endian).
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from byline.errors import InvalidQuery

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAFETENSORS = "application/vnd.safetensors"
CHUNK_BYTES = 1 << 20
"""Bytes to copy from a tensor at a time."""


class TensorsBody:
    """A safetensors file that is never complete in memory.

    Half precisions stay as they are. All other types become float32, the precision of the service.

    Args:
        tensors: Tensors by name, on any device. They are not copied.
    """

    content_type = SAFETENSORS

    def __init__(self, tensors: "Mapping[str, Tensor]") -> None:
        # Wide types first, so that each tensor starts at a multiple of its item size.
        ordered = sorted(tensors.items(), key=lambda each: (-_sent_as(*each).itemsize, each[0]))
        self._tensors = dict(ordered)
        self._header = self._written_header()

    def _written_header(self) -> bytes:
        entries, start = {}, 0
        for name, tensor in self._tensors.items():
            dtype = _sent_as(name, tensor)
            end = start + math.prod(tensor.shape) * dtype.itemsize
            entries[name] = {
                "dtype": _NAMES[str(dtype)],
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
            start = end
        self._data_bytes = start
        header = json.dumps(entries, separators=(",", ":")).encode()
        padded = header + b" " * (-len(header) % 8)
        return struct.pack("<Q", len(padded)) + padded

    @property
    def length(self) -> int:
        """Number of bytes of the file."""
        return len(self._header) + self._data_bytes

    def chunks(self) -> Iterator[bytes]:
        """Iterate over the bytes of the file. Each call starts from the beginning.

        Yields:
            The header, then parts of at most `CHUNK_BYTES`.
        """
        import torch

        yield self._header
        for name, tensor in self._tensors.items():
            dtype = _sent_as(name, tensor)
            flat = tensor.detach().reshape(-1)
            for part in torch.split(flat, CHUNK_BYTES // dtype.itemsize):
                if part.numel():
                    sent = part.to(device="cpu", dtype=dtype).contiguous()
                    yield sent.view(torch.uint8).numpy().tobytes()


_NAMES = {"torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float32": "F32"}


def _sent_as(name: str, tensor: "Tensor") -> "torch.dtype":
    import torch

    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise InvalidQuery(f"expected gradient '{name}' to be a tensor of floating-point numbers, got {kind}")
    return tensor.dtype if tensor.dtype in {torch.float16, torch.bfloat16} else torch.float32
