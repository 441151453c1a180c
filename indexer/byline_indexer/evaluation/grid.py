"""The values that `byline tune` tries on each axis."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from byline.api.terms import MOST_REFINE_STEPS
from byline.curvature.filters import FilterName
from byline.errors import InvalidInput

ROWS = ("ekfac_pca", "ekfac_margin", "logra")
"""Rows of the recipe table beside the build file's own. Rows whose target the Task lacks are passed over."""
DAMPINGS = (0.01, 0.1, 1.0, 10.0)
"""Tried beside the recipe's own."""
MOST_SINGLE = 8
"""Checkpoints that are tried alone, at most."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Size(_Value):
    """Numbers before and after a PCA. Its text is `65536:1024`, `2048` (no PCA) or `:1024` (the recipe's own projection)."""

    coordinates: PositiveInt | None = None
    """Size of the projection. None takes the recipe's own."""
    pca: PositiveInt | None = None
    """Size of the PCA. None takes none."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, int):
            return {"coordinates": value}
        if not isinstance(value, str):
            return value
        coordinates, _, pca = value.partition(":")
        if not coordinates and not pca:
            raise InvalidInput("expected a size such as 2048, 65536:1024 or :1024, got neither number")
        return {"coordinates": coordinates or None, "pca": pca or None}


class Models(_Value):
    """Checkpoints that are members. Their text is `all`, or positions such as `0,2`."""

    positions: tuple[NonNegativeInt, ...] | None = None
    """Positions in `Task.checkpoints`. None takes all."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"positions": None if value == "all" else value.split(",")}
        return value


class Masks(_Value):
    """Dropout masks of each checkpoint. Their text is `none`, or count, rate and kind of query such as `10:0.3:whole`."""

    count: NonNegativeInt = 0
    rate: float | None = Field(default=None, gt=0, lt=1)
    """None takes the model's own."""
    queries: Literal["masked", "whole"] = "masked"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value == "none":
            return {}
        parts: Mapping[str, str] = dict(zip(("count", "rate", "queries"), value.split(":", 2), strict=False))
        return {name: part for name, part in parts.items() if part}


class Grid(BaseModel):
    """Values to try. None takes an axis' defaults, which depend on the Task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Recipes: by default the build file's and `ROWS`."""
    signals: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Targets to differentiate on both sides: by default each row's own, and with masks `loss` and `margin`."""
    sizes: tuple[Size, ...] | None = Field(default=None, min_length=1)
    """Sizes of projection and PCA."""
    powers: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(default=None, min_length=1)
    """Powers of the optimizer's second moment; 0 divides by none. By default 0, 0.25 and 0.5 where checkpoints have it."""
    filters: tuple[FilterName, ...] | None = Field(default=None, min_length=1)
    """Filters of the spectrum: by default both where every checkpoint has a learning rate and steps."""
    dampings: tuple[PositiveFloat, ...] | None = Field(default=None, min_length=1)
    """Dampings of the curvature: by default `DAMPINGS` and the recipe's own."""
    checkpoints: tuple[Models, ...] | None = Field(default=None, min_length=1)
    """Sets of checkpoints: by default each alone, the first half, and all."""
    masks: tuple[Masks, ...] | None = Field(default=None, min_length=1)
    """Masks: by default none, and those of `byline_indexer.evaluation.axes` if the model has dropout modules."""
    refine: tuple[Annotated[int, Field(ge=0, le=MOST_REFINE_STEPS)], ...] | None = Field(
        default=None, min_length=1
    )
    """Steps that solve each query."""
    weights: tuple[Annotated[float, Field(ge=0, le=1000)], ...] | None = Field(default=None, min_length=1)
    """Weights of a baseline beside influence: by default those of `byline_indexer.evaluation.blends`."""
