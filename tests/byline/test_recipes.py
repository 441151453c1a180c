"""Recipes: the table, changes to a row, and combinations that make no sense."""

import pytest

from byline.errors import InvalidRecipe
from byline.projection.dense import DenseProjection
from byline.recipes import RECIPES, SIDE_POWERS, Recipe, recipe


def test_rows_are_found_by_their_names() -> None:
    assert all(name == row.name for name, row in RECIPES.items())


def test_both_sides_together_invert_the_curvature_once() -> None:
    assert {sum(powers) for rule, powers in SIDE_POWERS.items() if rule not in {"none", "solved"}} == {-1.0}


def test_a_change_is_merged_into_its_part() -> None:
    changed = recipe("ekfac", projection={"size": 512}, members={"masks": 4})
    assert changed.projection.model_dump() == {
        **RECIPES["ekfac"].projection.model_dump(),
        "size": 512,
    }
    assert changed.members.masks == 4
    assert changed.curvature == RECIPES["ekfac"].curvature


def test_a_part_can_be_exchanged() -> None:
    changed = recipe("trak", projection={"kind": "dense", "size": 64})
    assert changed.projection == DenseProjection(size=64)


def test_survives_json() -> None:
    for row in RECIPES.values():
        assert Recipe.model_validate_json(row.model_dump_json()) == row


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nothing", {}, "expected one of the recipes"),
        ("ekfac", {"sides": "one_sided", "unit_norm": True}, "not a cosine"),
        ("ekfac", {"sides": "none"}, "needs curvature"),
        ("grad_dot", {"curvature": {"kind": "ekfac"}, "sides": "two_sided"}, "eigenbasis"),
        ("ekfac", {"row_weight": "one_minus_p"}, "train_signal 'margin'"),
        ("if_cg", {"unit_norm": True}, "not a cosine"),
        ("arnoldi", {"projection": {"kind": "sjlt"}}, "needs curvature 'arnoldi'"),
        ("grad_dot", {"projection": {"kind": "ritz"}}, "needs curvature 'arnoldi'"),
        ("if_exact", {"curvature": {"matrix": "hessian"}}, "sides 'one_sided'"),
        (
            "if_exact",
            {"curvature": {"matrix": "hessian"}, "sides": "one_sided", "row_weight": "leverage"},
            "has no root",
        ),
        ("if_cg", {"sides": "two_sided"}, "needs curvature 'cg'"),
        ("ekfac", {"sides": "solved"}, "needs curvature 'cg'"),
        ("if_cg", {"row_weight": "relative_l"}, "every training point"),
        ("ekfac", {"projection": {"size": 0}}, "size"),
        ("ekfac", {"curvature": {"damping": -1.0}}, "damping"),
        ("ekfac", {"curvature": {"dampng": 1.0}}, "dampng"),
        ("ekfac", {"unknown": 1}, "unknown"),
        ("logra", {"curvature": {"kind": "trajectory"}}, "sides 'one_sided'"),
        ("arnoldi", {"scale": {"kind": "second_moment"}}, "a scale goes with"),
        (
            "ekfac",
            {"curvature": {"filter": "finite_run"}, "members": {"adapters": 1}},
            "did not train its adapters",
        ),
        (
            "if_exact",
            {"curvature": {"matrix": "hessian", "filter": "finite_run"}, "sides": "one_sided"},
            "needs curvature.matrix 'ggn'",
        ),
        ("dvemb", {"scale": {"kind": "second_moment"}}, r"scale\.power = 0\.25 for curvature 'trajectory'"),
        ("less", {"curvature": {"kind": "fisher"}, "sides": "two_sided"}, "goes with sides 'none'"),
        ("less", {"train_signal": "margin"}, "train_signal 'loss'"),
    ],
)
def test_nonsense_is_refused(name: str, changes: dict, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        recipe(name, **changes)
