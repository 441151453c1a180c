"""The metadata of a training point, which connects a row of the index with a document and its owner."""

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from byline.api.thumbnails import png
from byline.api.validation import one_error, printable
from byline.errors import InvalidTask

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which Python strings can hold and Unicode cannot, as from `errors="surrogateescape"`."""
_LONE = "expected text that is valid Unicode, got a lone surrogate (read files with errors='replace')"
MAX_PREVIEW = 2_000
"""Largest number of characters of a preview. A longer one ends with an ellipsis."""


@one_error(InvalidTask)
class Example(BaseModel):
    """The metadata of one training point, which is one row of the index.

    A document in chunks has one `Example` for each chunk. The chunks share their `uri` (or an attribute), and each one has
    its own id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str = Field(min_length=1, max_length=200)
    """Stable and unique id: your own, or `content_id(item)`."""
    owner: str | None = None
    """Owner of the training point, who receives credit and compensation."""
    license: str | None = None
    """License as an SPDX expression or as text."""
    uri: str | None = None
    """Location of the document."""
    label: str | None = None
    """Class or another category, to filter by."""
    preview: str | None = None
    """A few words of plain text to recognize the training point by, cut to `MAX_PREVIEW` characters. Lone surrogates become
    U+FFFD here. All other fields refuse them."""
    image: bytes | None = Field(default=None, exclude=True, repr=False)
    """Thumbnail of the training point: a PNG of at most 96 x 96 pixels. An array or tensor [H, W] or [C, H, W] of pixels
    becomes one (`byline.api.thumbnails.png`). Answers name its address instead."""
    attributes: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Further values to show or to filter by. Numbers must be finite."""

    @field_validator("id", "owner", "license", "uri", "label", mode="before")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        if isinstance(value, str) and LONE_SURROGATE.search(value):
            raise InvalidTask(_LONE)
        return value

    @field_validator("preview", mode="before")
    @classmethod
    def _cut(cls, preview: Any) -> Any:
        if not isinstance(preview, str):
            return preview
        shown = LONE_SURROGATE.sub("\ufffd", preview)
        return shown if len(shown) <= MAX_PREVIEW else f"{shown[: MAX_PREVIEW - 1]}…"

    @field_validator("image", mode="before")
    @classmethod
    def _png(cls, image: Any) -> bytes | None:
        return None if image is None else png(image)

    @field_validator("attributes", mode="before")
    @classmethod
    def _storable(cls, attributes: Any) -> Any:
        """Require attributes that JSON can represent. Pydantic checks the types."""
        for name, value in attributes.items() if isinstance(attributes, Mapping) else ():
            shown = printable(str(name))
            if not _is_finite(value):
                raise InvalidTask(
                    f"expected finite numbers, got a NaN or an infinity in the attribute '{shown}'"
                )
            if not _is_unicode([name, value]):
                raise InvalidTask(f"{_LONE} in the attribute '{shown}'")
        return attributes


def _is_unicode(value: JsonValue) -> bool:
    match value:
        case str():
            return LONE_SURROGATE.search(value) is None
        case dict():
            return all(map(_is_unicode, [*value.keys(), *value.values()]))
        case list():
            return all(map(_is_unicode, value))
        case _:
            return True


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
