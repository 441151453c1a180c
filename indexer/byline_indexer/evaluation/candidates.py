"""List the changes of a recipe that `byline tune` tries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from byline.errors import InvalidInput, InvalidRecipe
from byline.recipes import Recipe
from byline.task import Task

DAMPINGS = (0.01, 0.1, 1.0, 10.0)
"""Tried beside the recipe's own."""


class Grid(BaseModel):
    """Values to try. None takes the defaults, and nothing if the recipe has no such part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signals: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Targets to differentiate on both sides: by default `loss`, and `margin` if the Task has it."""
    dampings: tuple[PositiveFloat, ...] | None = Field(default=None, min_length=1)
    """Dampings of the curvature: by default `DAMPINGS` and the recipe's own."""
    sizes: tuple[PositiveInt, ...] | None = Field(default=None, min_length=1)
    """Sizes of the projection: by default the recipe's own and a quarter of it."""


@dataclass(frozen=True)
class Candidate:
    """One recipe to try."""

    recipe: Recipe
    signal: str
    damping: float | None
    size: int | None

    def toml(self) -> str:
        """Write the lines of a build file's `[recipe]` that give this recipe. Other lines stay as they are."""
        lines: dict[str, Any] = {
            "train_signal": self.recipe.train_signal,
            "query_target": self.recipe.query_target,
            "row_weight": self.recipe.row_weight,
            "members.forward_masks": self.recipe.members.forward_masks or None,
            "curvature.damping": self.damping,
            "projection.size": self.size,
        }
        text = [f"{key} = {_value(value)}" for key, value in lines.items() if value is not None]
        return "\n".join(["[recipe]", f'name = "{self.recipe.name}"', *text])


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def candidates(base: Recipe, task: Task, grid: Grid) -> list[Candidate]:
    """List the recipes to try: every signal with every damping and every size.

    Args:
        base: The build file's.
        task: Says which targets there are.
        grid: What is tried.

    Returns:
        Those that make sense, smaller sizes first.

    Raises:
        InvalidInput: The recipe has no damping or no size where one is asked for, or nothing makes sense.
    """
    damping: float | None = getattr(base.curvature, "damping", None)
    size: int | None = getattr(base.projection, "size", None)
    _refuse_missing("--damping", grid.dampings, damping, base)
    _refuse_missing("--size", grid.sizes, size, base)
    signals = grid.signals or ("loss", *(name for name in ("margin",) if name in task.targets))
    for signal in signals:
        task.objective(signal)
    dampings: Sequence[float | None] = [None]
    if damping is not None:
        dampings = sorted(set(grid.dampings or (*DAMPINGS, damping)))
    sizes: Sequence[int | None] = [None]
    if size is not None:
        sizes = sorted(set(grid.sizes or (max(1, size // 4), size)))
    tried = [_candidate(base, *each) for each in product(sizes, signals, dampings)]
    found = [each for each in tried if each is not None]
    if not found:
        raise InvalidInput(f"recipe '{base.name}' does not go with the signals {', '.join(signals)}")
    return found


def _refuse_missing(option: str, asked: object, own: float | None, base: Recipe) -> None:
    if asked is not None and own is None:
        raise InvalidInput(
            f"recipe '{base.name}' (projection '{base.projection.kind}', curvature '{base.curvature.kind}') has nothing "
            f"that {option} could change: leave the option out"
        )


def _candidate(base: Recipe, size: int | None, signal: str, damping: float | None) -> Candidate | None:
    """Change the recipe. None if the changes do not go together."""
    row = base.model_dump()
    weight = "one_minus_p" if signal == "margin" and base.row_weight == "none" else base.row_weight
    if signal != "margin" and weight == "one_minus_p":
        weight = "none"
        row["members"] = {**row["members"], "forward_masks": 0}
    row |= {"train_signal": signal, "query_target": signal, "row_weight": weight}
    row["curvature"] = _changed(row["curvature"], "damping", damping)
    row["projection"] = _changed(row["projection"], "size", size)
    try:
        return Candidate(Recipe.model_validate(row), signal, damping, size)
    except (InvalidRecipe, ValidationError):
        return None


def _changed(part: Mapping[str, Any], name: str, value: float | None) -> dict[str, Any]:
    return dict(part) if value is None else {**part, name: value}
