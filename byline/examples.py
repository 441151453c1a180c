"""The metadata of one training point: what leads from a row of the index back to a document and its owner."""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

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
