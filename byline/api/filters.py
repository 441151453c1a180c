"""Which rows may be returned: a document that clients write, so importing it costs little."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | bool | int | float | None


class Filter(BaseModel):
    """Which rows may be returned. Every given field must hold; a list holds if one of its entries does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: list[str] | None = Field(default=None, max_length=1_000)
    """Any of these ids: with `drill_down`, the groups to go into."""
    owner: list[str] | None = Field(default=None, max_length=1_000)
    """Any of these owners."""
    license: list[str] | None = Field(default=None, max_length=1_000)
    """Any of these licenses."""
    label: list[str] | None = Field(default=None, max_length=1_000)
    """Any of these labels."""
    attributes: Mapping[str, Scalar] = Field(default_factory=dict, max_length=20)
    """Top-level attributes that must be equal to these values; `True` is not 1, and 1 is 1.0."""
