"""A setting that `byline tune` tries, and the lines that choose it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError

from byline.api.blend import Blend
from byline.errors import InvalidRecipe
from byline.recipes import RECIPES, Recipe
from byline.scale.second_moment import SecondMoment


@dataclass(frozen=True)
class Candidate:
    """One setting: how rows are made, how queries are solved, and what is blended in."""

    recipe: Recipe
    refine: int = 0
    """Steps that solve each query."""
    blend: Blend | None = None

    @property
    def key(self) -> str:
        """Text that is equal for equal settings."""
        blend = None if self.blend is None else self.blend.model_dump_json()
        return f"{self.recipe.model_dump_json()} {self.refine} {blend}"

    @property
    def influence(self) -> Self:
        """The same setting without its blend."""
        return replace(self, blend=None)

    def changed(self, **changes: Any) -> Self | None:
        """Change fields of the recipe.

        Args:
            changes: New values by field. A mapping changes fields of the part that it names, or replaces a part of another
                kind.

        Returns:
            The setting, under the name of a row that can give it. None if the changes do not go together.
        """
        row = self.recipe.model_dump()
        for name, value in changes.items():
            known = row[name]
            merged = (
                isinstance(value, Mapping)
                and known
                and value.get("kind", known.get("kind")) == known.get("kind")
            )
            row[name] = {**known, **value} if merged else value
        try:
            recipe = Recipe.model_validate(row)
        except (InvalidRecipe, ValidationError):
            return None
        return replace(self, recipe=recipe.model_copy(update={"name": closest_row(recipe)}))

    def toml(self) -> str:
        """Write the tables of a build file, `[recipe]` and `[blend]`, that give this setting."""
        changes = _changes(self.recipe.model_dump(), _TABLE[self.recipe.name])
        lines = ["[recipe]", f'name = "{self.recipe.name}"', *(f"{key} = {_value(v)}" for key, v in changes)]
        if self.blend is not None:
            lines += ["", "[blend]", f'baseline = "{self.blend.baseline}"', f"weight = {self.blend.weight:g}"]
        return "\n".join(lines)

    @property
    def text(self) -> str:
        """Describe the setting in a few words."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        recipe, members = self.recipe, self.recipe.members
        yield recipe.name if recipe.train_signal == "loss" else f"{recipe.name} of {recipe.train_signal}"
        size = getattr(recipe.projection, "size", None)
        if size is not None:
            yield f"size {size:,}"
        if recipe.pca is not None:
            yield f"PCA {recipe.pca.size:,}"
        if isinstance(recipe.scale, SecondMoment):
            yield f"second moment^{recipe.scale.power:g}"
        if getattr(recipe.curvature, "filter", "damped") != "damped":
            yield "finite run"
        elif hasattr(recipe.curvature, "damping"):
            yield f"damping {recipe.curvature.damping:g}"
        if members.checkpoints is not None:
            yield f"checkpoints {' '.join(map(str, members.checkpoints))}"
        if members.masks:
            rate = "" if members.mask_rate is None else f" at {members.mask_rate:g}"
            yield f"{members.masks} masks{rate}, {members.queries} queries"
        if self.refine:
            yield f"refine {self.refine}"
        if self.blend is not None:
            yield f"+ {self.blend.weight:g} {self.blend.baseline}"


_TABLE = {name: row.model_dump() for name, row in RECIPES.items()}


def closest_row(recipe: Recipe) -> str:
    """Name the row of the table that a build file gives the recipe from.

    It is the row that equals the recipe, or else the recipe's own. A build file cannot take a row's PCA away: without a
    PCA it is then the row with the fewest lines to change.
    """
    own = recipe.model_dump()
    fitting = [name for name, row in _TABLE.items() if recipe.pca is not None or row["pca"] is None]
    lines = {name: len(list(_changes(own, _TABLE[name]))) for name in fitting}
    best = min(fitting, key=lambda name: (lines[name], name != recipe.name))
    return recipe.name if recipe.name in lines and lines[best] else best


def _changes(own: Mapping[str, Any], row: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """List fields whose value is not that of the table's row, with dotted names.

    Yields:
        Name and value.
    """
    for name, value in own.items():
        known = row.get(name)
        if not path and name == "name":
            continue
        if isinstance(value, dict):
            same_kind = isinstance(known, dict) and known.get("kind") == value.get("kind")
            yield from _changes(value, known if same_kind and known else {}, f"{path}{name}.")
        elif value is not None and value != known:
            yield f"{path}{name}", value


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
