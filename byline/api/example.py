"""The metadata of one training point: what leads from a row of the index back to a document and its owner."""

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from byline.api.validation import printable
from byline.errors import InvalidTask

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python strings can hold and Unicode cannot: half of a pair, as `errors="surrogateescape"` leaves it."""
_LONE = "expected text that is valid Unicode, got a lone surrogate (read files with errors='replace')"
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
    license: str | None = None
    """SPDX expression or the license's own words."""
    uri: str | None = None
    """Where the document is to be found."""
    label: str | None = None
    """Class or other category, for filters and for people."""
    preview: str | None = None
    """A few words to recognise the example by; plain text, cut to `MAX_PREVIEW` characters. Lone surrogates, which are no
    Unicode, become U+FFFD here and are refused everywhere else."""
    attributes: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Whatever else the user wants to see or to filter by; numbers are finite."""

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

    @field_validator("attributes", mode="before")
    @classmethod
    def _storable(cls, attributes: Any) -> Any:
        """Hold that attributes can be written as JSON; pydantic holds the rest."""
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
