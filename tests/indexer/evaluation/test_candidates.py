"""A setting's lines give the setting, and its text names what it changes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from byline.api.blend import Blend
from byline.recipes import RECIPES, recipe
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.candidates import Candidate, closest_row

MASKED = {"members": {"masks": 5, "mask_rate": 0.3, "queries": "whole", "checkpoints": (0, 2)}}


@pytest.mark.parametrize(
    "chosen",
    [
        Candidate(recipe("ekfac")),
        Candidate(recipe("ekfac", projection={"size": 64}, pca={"size": 16}, curvature={"damping": 1e-5})),
        Candidate(recipe("logra", **MASKED), blend=Blend(baseline="bm25", weight=0.5)),
        Candidate(recipe("ekfac", train_signal="margin", query_target="margin", row_weight="one_minus_p")),
        Candidate(recipe("trackstar", scale={"kind": "none"}, unit_norm=False)),
        Candidate(
            recipe(
                "ekfac", scale={"kind": "second_moment", "power": 0.25}, curvature={"filter": "finite_run"}
            )
        ),
        Candidate(recipe("grad_dot", projection={"kind": "dense", "size": 7})),
    ],
    ids=lambda each: each.text,
)
def test_the_printed_lines_give_the_setting(chosen: Candidate) -> None:
    given: dict[str, Any] = {"task": "task.py:task", "index": {"path": Path("index")}}
    config = BuildConfig.model_validate(given | tomllib.loads(chosen.toml()))
    assert Candidate(config.recipe, chosen.refine, config.blend) == chosen


def test_the_lines_are_those_that_differ_from_the_row() -> None:
    assert Candidate(recipe("ekfac")).toml() == '[recipe]\nname = "ekfac"'
    lines = Candidate(recipe("ekfac", curvature={"damping": 2.0})).toml().splitlines()
    assert lines[2:] == ["curvature.damping = 2.0"]


def test_the_text_names_what_matters() -> None:
    chosen = Candidate(recipe("ekfac_margin", **MASKED, pca={"size": 512}), 8, Blend(baseline="bm25"))
    for part in (
        "ekfac_margin of margin",
        "PCA 512",
        "damping 1",
        "checkpoints 0 2",
        "5 masks at 0.3, whole",
        "refine 8",
        "0.25 bm25",
    ):
        assert part in chosen.text


def test_changes_that_do_not_go_together_give_nothing() -> None:
    chosen = Candidate(recipe("ekfac"))
    assert chosen.changed(row_weight="one_minus_p") is None
    assert chosen.changed(projection={"size": 0}) is None
    changed = chosen.changed(projection={"size": 9})
    assert changed is not None
    assert changed.recipe == recipe("ekfac", projection={"size": 9})


def test_keys_are_equal_for_equal_settings_alone() -> None:
    chosen = Candidate(recipe("ekfac"), 0, Blend(baseline="bm25"))
    others = [
        chosen.influence,
        Candidate(recipe("ekfac"), 8, chosen.blend),
        Candidate(recipe("kfac"), 0, chosen.blend),
    ]
    assert (
        len({each.key for each in [chosen, Candidate(recipe("ekfac"), 0, Blend(baseline="bm25")), *others]})
        == 4
    )


def test_the_closest_row_names_a_setting() -> None:
    row = RECIPES["ekfac_pca"]
    wide = Candidate(recipe("ekfac")).changed(projection=row.projection.model_dump(), pca=row.pca)
    assert wide is not None
    assert wide.toml() == '[recipe]\nname = "ekfac_pca"'
    plain = Candidate(recipe("ekfac_pca")).changed(
        pca=None, projection=RECIPES["ekfac"].projection.model_dump()
    )
    assert plain is not None
    assert plain.toml() == '[recipe]\nname = "ekfac"', "a build file cannot take the PCA of a row away"
    assert closest_row(recipe("ekfac_margin", curvature={"damping": 2.0})) == "ekfac_margin"
