"""Variants of a setting along each axis."""

from dataclasses import replace

from byline.recipes import RECIPES, recipe
from byline_indexer.evaluation import axes
from byline_indexer.evaluation.axes import Facts, distinct
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.grid import Grid, Masks, Models, Size

FACTS = Facts(targets=frozenset({"margin"}), checkpoints=4, rows=700, parameters=100_000, dropout=True)
OWN = Candidate(recipe("ekfac", projection={"size": 300}, members={"checkpoints": (3,)}))


def varied(
    axis: axes.Axis, start: Candidate = OWN, grid: Grid | None = None, facts: Facts = FACTS
) -> list[Candidate]:
    return list(distinct(axis(start, grid or Grid(), facts), facts))


def test_the_search_begins_with_one_model_without_masks() -> None:
    own = recipe("ekfac_margin", members={"masks": 5, "forward_masks": 3})
    first = axes.first_candidate(own, Grid(), FACTS).recipe.members
    assert (first.checkpoints, first.masks, first.forward_masks) == ((3,), 0, 0)
    chosen = axes.first_candidate(own, Grid(checkpoints=(Models(positions=(1,)),)), FACTS)
    assert chosen.recipe.members.checkpoints == (1,)
    alone = axes.first_candidate(own, Grid(), replace(FACTS, checkpoints=1))
    assert alone.recipe.members.checkpoints is None, "one of one is all"


def test_axes_with_values_begin_with_the_first() -> None:
    grid = Grid.model_validate(
        {
            "masks": ["3:0.4"],
            "refine": [2, 4],
            "dampings": [7, 1],
            "sizes": ["64:16", "32"],
            "rows": ["logra", "ekfac"],
            "powers": [0.3, 0],
        }
    )
    first = axes.first_candidate(OWN.recipe, grid, FACTS)
    assert (first.recipe.members.masks, first.recipe.members.mask_rate, first.refine) == (3, 0.4, 2)
    logra, ekfac = varied(axes.recipes, first, grid)
    assert (logra.recipe.curvature.damping, logra.recipe.pca) == (7.0, None), "it has no size in coordinates"
    assert (ekfac.recipe.curvature.damping, ekfac.recipe.projection.size, ekfac.recipe.pca.size) == (
        7.0,
        64,
        16,
    )
    assert {(each.refine, each.recipe.members.masks) for each in (logra, ekfac)} == {(2, 3)}
    assert {each.recipe.scale.power for each in (logra, ekfac)} == {0.3}


def test_rows_and_targets() -> None:
    found = varied(axes.recipes)
    assert [(each.recipe.name, each.recipe.train_signal) for each in found] == [
        ("ekfac", "loss"), ("ekfac_pca", "loss"), ("ekfac_margin", "margin"), ("logra", "loss"),
    ]  # fmt: skip
    assert found[0].recipe == OWN.recipe, "the build file's recipe stands for its row"
    assert all(each.recipe.members.checkpoints == (3,) for each in found)
    without = varied(axes.recipes, facts=replace(FACTS, targets=frozenset()))
    assert [each.recipe.name for each in without] == ["ekfac", "ekfac_pca", "logra"]
    both = varied(axes.recipes, grid=Grid(rows=("logra", "trak"), signals=("loss", "margin")))
    assert [(each.recipe.name, each.recipe.train_signal, each.recipe.row_weight) for each in both] == [
        ("logra", "loss", "none"), ("logra", "margin", "one_minus_p"),
        ("trak", "loss", "none"), ("trak", "margin", "one_minus_p"),
    ]  # fmt: skip
    sampled = Candidate(recipe("ekfac", curvature={"labels": "sampled"}))
    kept = varied(axes.recipes, sampled, Grid(rows=("ekfac",), signals=("loss", "margin")))
    assert [each.recipe.train_signal for each in kept] == ["loss"], "impossible settings are left out"


def test_sizes_are_coordinates_and_pca() -> None:
    found = [
        (each.recipe.projection.size, each.recipe.pca and each.recipe.pca.size) for each in varied(axes.sizes)
    ]
    assert found == [(300, None), (512, None), (2048, None), (65_536, 512), (65_536, 1024)], (
        "a PCA of 700 rows has no 2,048 numbers, so 2,048 is what 1,024 is"
    )
    back = varied(axes.sizes, Candidate(RECIPES["ekfac_pca"]), Grid(sizes=(Size(coordinates=2048),)))
    assert [each.recipe for each in back] == [RECIPES["ekfac"]]
    wide = varied(axes.sizes, Candidate(RECIPES["ekfac"]), Grid(sizes=(Size(coordinates=65_536, pca=1024),)))
    assert [each.recipe for each in wide] == [RECIPES["ekfac_pca"]]
    tiny = varied(axes.sizes, facts=replace(FACTS, parameters=400, rows=200))
    assert [(each.recipe.projection.size, each.recipe.pca and each.recipe.pca.size) for each in tiny] == [
        (300, None), (512, None), (65_536, 512),
    ]  # fmt: skip
    grid = Grid(sizes=(Size(coordinates=64, pca=16), Size(pca=8)))
    assert [(each.recipe.projection.size, each.recipe.pca.size) for each in varied(axes.sizes, OWN, grid)] == [
        (64, 16), (300, 8),
    ]  # fmt: skip
    factorised = varied(axes.sizes, Candidate(RECIPES["logra"]))
    assert [each.recipe.pca and each.recipe.pca.size for each in factorised] == [None, 512, 1024]


def test_the_optimizers_scale_and_the_filter_of_a_run() -> None:
    assert varied(axes.optimizers) == [OWN], "nothing is declared"
    moments = varied(axes.optimizers, facts=replace(FACTS, moments=True))
    assert [getattr(each.recipe.scale, "power", 0.0) for each in moments] == [0.0, 0.25, 0.5]
    runs = varied(axes.optimizers, facts=replace(FACTS, moments=True, runs=True))
    assert [(getattr(each.recipe.scale, "power", 0.0), each.recipe.curvature.filter) for each in runs] == [
        (power, name) for power in (0.0, 0.25, 0.5) for name in ("damped", "finite_run")
    ]  # fmt: skip
    assert varied(axes.dampings, runs[1]) == [], "a finite run has no damping"
    back = varied(axes.optimizers, moments[1], Grid(powers=(0.0,)))
    assert [each.recipe.scale.kind for each in back] == ["none"]
    assert varied(axes.optimizers, Candidate(RECIPES["less"]), facts=replace(FACTS, moments=True)) == []


def test_dampings() -> None:
    assert [each.recipe.curvature.damping for each in varied(axes.dampings)] == [0.01, 0.1, 0.3, 1.0, 10.0]
    assert [each.recipe.curvature.damping for each in varied(axes.dampings, OWN, Grid(dampings=(2.0,)))] == [
        2.0
    ]
    assert varied(axes.dampings, Candidate(RECIPES["grad_dot"])) == []


def test_checkpoints_alone_early_and_all() -> None:
    start = Candidate(recipe("ekfac", projection={"size": 300}, pca={"size": 100}))
    found = [each.recipe.members.checkpoints for each in varied(axes.checkpoints, start)]
    assert found == [(0,), (1,), (2,), (3,), (0, 1), None]
    many = varied(axes.checkpoints, start, facts=replace(FACTS, checkpoints=20))
    assert len(many) <= 8 + 2
    without = varied(axes.checkpoints, OWN, Grid(checkpoints=(Models(),)))
    assert [each.recipe.pca and each.recipe.pca.size for each in without] == [None, 300], (
        "without a PCA, many models are also tried at the numbers of one"
    )


def test_masks_come_with_rate_query_and_target() -> None:
    start = Candidate(recipe("ekfac", projection={"size": 65_536}, pca={"size": 100}))
    found = [each.recipe for each in varied(axes.masks, start)]
    tried = {(r.members.mask_rate, r.members.queries, r.train_signal) for r in found if r.members.masks}
    assert tried == {
        (rate, queries, signal)
        for rate in (0.3, 0.5) for queries in ("masked", "whole") for signal in ("loss", "margin")
    }  # fmt: skip
    assert found[0] == start.recipe
    assert {r.members.masks for r in found} == {0, 2}, "four checkpoints with two masks each"
    assert {r.projection.size for r in found if r.members.masks} == {65_536 // 2}, "masks share its room"
    alone = Candidate(recipe("ekfac_pca", members={"checkpoints": (2,)}))
    assert {each.recipe.members.masks for each in varied(axes.masks, alone)} == {0, 5}
    assert varied(axes.masks, start, facts=replace(FACTS, dropout=False)) == []
    asked = varied(axes.masks, OWN, Grid(masks=(Masks(count=2),), signals=("loss",)))
    assert [each.recipe.members.masks for each in asked] == [2, 2]


def test_refinement_is_of_the_queries() -> None:
    found = varied(axes.refinements)
    assert [each.refine for each in found] == [0, 8]
    assert all(each.recipe == OWN.recipe for each in found)


def test_settings_are_fitted_to_the_budget() -> None:
    facts = replace(FACTS, numbers=250)
    found = varied(axes.sizes, OWN, Grid(), facts)
    assert [each.recipe.pca and each.recipe.pca.size for each in found] == [250, 250, 250, 250]
    small = Candidate(recipe("ekfac", projection={"size": 250}, members={"checkpoints": (0,)}))
    assert axes.within(small, facts) == small
    assert axes.within(small, replace(facts, numbers=249)).recipe.pca is not None
    four = Candidate(recipe("ekfac", projection={"size": 250}))
    assert axes.within(four, facts).recipe.pca is not None, "four models have four times the numbers"
