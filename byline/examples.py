"""The metadata of one training point: what leads from a row of the index back to a document and its owner."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from byline.errors import InvalidTask

MAX_PREVIEW = 2_000
"""Characters of a preview that are kept; of a longer one the last of these is an ellipsis."""


class Example(BaseModel):
    """One training point as people see it: one row of the index.

    A document that is cut into chunks has one `Example` a chunk, all with the same `uri` (or the same
    attribute), each with an id of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=200)
    """Stable and unique: the user's own, or `content_id(item)`."""
    owner: str | None = None
    """Who is credited, and paid."""
    licence: str | None = None
    """SPDX expression or the licence's own words."""
    uri: str | None = None
    """Where the document is to be found."""
    label: str | None = None
    """Class or other category, for filters and for people."""
    preview: str | None = None
    """A few words to recognise the example by; plain text, cut to `MAX_PREVIEW` characters."""
    attributes: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Whatever else the user wants to see or to filter by; numbers are finite."""

    @field_validator("preview")
    @classmethod
    def _cut(cls, preview: str | None) -> str | None:
        if preview is None or len(preview) <= MAX_PREVIEW:
            return preview
        return f"{preview[: MAX_PREVIEW - 1]}…"

    @field_validator("attributes")
    @classmethod
    def _finite(cls, attributes: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        for name, value in attributes.items():
            if not _is_finite(value):
                raise ValueError(
                    f"expected finite numbers, got a NaN or an infinity in the attribute '{name}'"
                )
        return attributes


def _is_finite(value: JsonValue) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list():
            return all(map(_is_finite, value))
        case _:
            return True


def content_digest(value: Any) -> bytes:
    """Digest of a dataset item's content, the same on every machine and in every process.

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


def content_id(value: Any) -> str:
    """Short name of a dataset item made from its content, for items that have no id of their own."""
    return content_digest(value).hex()[:20]


def _feed(digest: "hashlib._Hash", value: Any) -> None:
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
            digest.update(f"sequence:{len(value)}:".encode())
            for part in value:
                _feed(digest, part)
        case _:
            raise InvalidTask(
                f"expected a training item made of tensors, arrays, strings, numbers, mappings and "
                f"sequences, got a part of type {type(value).__name__}: convert it in the data set"
            )


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
