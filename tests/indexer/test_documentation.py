"""docs/configuration.md: its build files are read, and it leaves out no field."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from byline.groups import GroupOptions
from byline.members import MemberPlan
from byline.projection.pca import Pca
from byline.recipes import RECIPES, Curvature, Projection, Recipe, Scale
from byline_indexer.config import BuildConfig, BuildSection, IndexSection, load_config

TEXT = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def models() -> Iterator[type[BaseModel]]:
    yield from (BuildConfig, BuildSection, GroupOptions, IndexSection, Recipe, MemberPlan, Pca)
    for union in (Scale, Projection, Curvature):
        yield from get_args(get_args(union)[0])


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_documented_build_files_are_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mytask.toml"
    path.write_text(text)
    assert load_config(path).recipe.name == "ekfac_pca"


@pytest.mark.parametrize("model", list(models()))
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    missing = [
        name for name in model.model_fields if not re.search(rf"`\[?{name}\]?`", TEXT) and name != "kind"
    ]
    assert not missing


def test_every_recipe_and_kind_is_documented() -> None:
    kinds = {r.projection.kind for r in RECIPES.values()} | {r.curvature.kind for r in RECIPES.values()}
    kinds |= {r.scale.kind for r in RECIPES.values()}
    assert not [name for name in [*RECIPES, *kinds] if f"`{name}`" not in TEXT]
