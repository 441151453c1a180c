"""Digests of weights and of training items: the same on every machine and in every process."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from byline.errors import InvalidTask, StaleIndex


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 over tensors' names, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_digest(what: str, found: str, expected: str | None) -> None:
    """Require that a loaded part is the one that an index was built from.

    Args:
        what: Name of the part in messages: `the weights at seed-0.safetensors`.
        found: Digest of what is in memory now.
        expected: Digest at the start of the build, or in an index's manifest. None accepts every digest.

    Raises:
        StaleIndex: They differ.
    """
    if expected is not None and found != expected:
        raise StaleIndex(
            f"{what} changed: expected the SHA-256 {expected[:12]}… that the index was built from, got {found[:12]}…: "
            f"restore it, or build again"
        )


_PLAIN = {str, bool, int, float, type(None)}
_LISTS = {list, tuple}


def content_digest(value: Any) -> bytes:
    """Digest a dataset item's content, the same on every machine and in every process.

    Args:
        value: Tensors, arrays, strings, bytes, numbers, None, pydantic models, and mappings and
            sequences of these.

    Returns:
        32 bytes: SHA-256 over types, shapes and contents.

    Raises:
        InvalidTask: A part of the item is of a type whose content is not defined.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.digest()


def short_digest(value: Any) -> int:
    """Digest a dataset item's content to 64 bits, which tell one item of a training set from what is read there later."""
    return first_bits(content_digest(value))


def first_bits(digest: bytes) -> int:
    """Return the first 64 bits of a digest as a number."""
    return int.from_bytes(digest[:8], "little")


def content_id(value: Any) -> str:
    """Short name of a dataset item made from its content, for items that have no id of their own."""
    return content_digest(value).hex()[:20]


def _feed(digest: "hashlib._Hash", value: Any) -> None:
    """Digest a value. The usual types come first, since each further check costs as much as a small tensor."""
    kind = type(value)
    if kind in _LISTS:
        _feed_sequence(digest, value)
    elif kind in _PLAIN:
        digest.update(f"{kind.__name__}:{value!r};".encode())
    else:
        _feed_other(digest, value)


def _feed_other(digest: "hashlib._Hash", value: Any) -> None:
    match value:
        case torch.Tensor():
            _feed_tensor(digest, value)
        case np.ndarray() | np.generic():
            _feed_array(digest, np.ascontiguousarray(value))
        case str() | bool() | int() | float() | None:
            digest.update(f"{type(value).__name__}:{value!r};".encode())
        case bytes():
            digest.update(f"bytes:{len(value)}:".encode() + value)
        case BaseModel():
            _feed(digest, value.model_dump())
        case Mapping():
            digest.update(f"mapping:{len(value)}:".encode())
            for key in sorted(value, key=str):
                _feed(digest, key)
                _feed(digest, value[key])
        case Sequence():
            _feed_sequence(digest, value)
        case _:
            raise InvalidTask(
                f"expected a training item made of tensors, arrays, strings, numbers, mappings and "
                f"sequences, got a part of type {type(value).__name__}: convert it in the data set"
            )


def _feed_sequence(digest: "hashlib._Hash", value: Sequence[Any]) -> None:
    digest.update(f"sequence:{len(value)}:".encode())
    if _PLAIN.issuperset(map(type, value)):  # token ids: the same bytes as part by part
        digest.update("".join([f"{type(part).__name__}:{part!r};" for part in value]).encode())
        return
    for part in value:
        _feed(digest, part)


def _feed_array(digest: "hashlib._Hash", array: "np.ndarray[Any, Any]") -> None:
    digest.update(f"array:{array.dtype.str}:{array.shape}:".encode())
    if array.dtype.hasobject:  # its bytes are addresses
        _feed(digest, array.tolist())
    else:
        digest.update(array.tobytes())


def _feed_tensor(digest: "hashlib._Hash", tensor: torch.Tensor) -> None:
    try:
        array = tensor.numpy(force=True)
    except TypeError:  # numpy has no such type: bfloat16, float8
        digest.update(f"tensor:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    else:
        _feed_array(digest, np.ascontiguousarray(array))
