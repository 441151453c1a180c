"""docs/methods.md: every recipe and baseline has its row, with numbers and names that are the code's."""

from pathlib import Path

import pytest

from byline.baselines import BASELINES
from byline.recipes import RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
CELLS = 8


def rows() -> dict[str, list[str]]:
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.replace("\\|", "!").strip("|").split("|")]
        if line.startswith("| `") and len(cells) == CELLS:
            found[cells[0].strip("`")] = cells
    return found


def test_every_recipe_has_a_row_and_no_row_is_of_something_else() -> None:
    assert set(rows()) == set(RECIPES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_row_is_complete(name: str) -> None:
    assert all(rows()[name])
    assert "." in rows()[name][6], "the LDS on digits"


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_numbers_a_row_are_the_defaults(name: str) -> None:
    size = getattr(RECIPES[name].projection, "size", None)
    if size is not None:
        assert f"{size:,}" in rows()[name][5]


def test_baselines_are_named() -> None:
    assert all(name in PAGE.lower() for name in BASELINES)
