"""The candidates of a tuning and the lines that choose one of them."""

import tomllib
from pathlib import Path

import pytest

from byline.errors import InvalidInput
from byline.loading.task_file import load_task
from byline.recipes import recipe
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.candidates import Grid, candidates


@pytest.fixture
def config(kfac_config: BuildConfig) -> BuildConfig:
    return kfac_config


def test_the_printed_lines_give_the_recipe(config: BuildConfig, tmp_path: Path) -> None:
    task = load_task(config.task).task
    for base in (recipe("ekfac", projection={"size": 64}), recipe("ekfac_margin"), recipe("trak")):
        for candidate in candidates(base, task, Grid()):
            document = tomllib.loads(candidate.toml())
            given = {
                "task": config.task,
                "index": {"path": tmp_path},
                "recipe": document["recipe"],
            }
            assert BuildConfig.model_validate(given).recipe == candidate.recipe


def test_what_is_tried(config: BuildConfig) -> None:
    task = load_task(config.task).task
    found = candidates(recipe("ekfac", projection={"size": 64}), task, Grid())
    assert {each.size for each in found} == {16, 64}
    assert {each.signal for each in found} == {"loss", "margin"}
    assert {each.recipe.row_weight for each in found if each.signal == "margin"} == {"one_minus_p"}
    assert {0.01, 0.1, 1.0, 10.0} <= {each.damping for each in found}
    sampled = recipe("ekfac", curvature={"labels": "sampled"})
    assert {each.signal for each in candidates(sampled, task, Grid())} == {"loss"}
    assert {each.damping for each in candidates(recipe("grad_dot"), task, Grid())} == {None}
    with pytest.raises(InvalidInput, match="--damping"):
        candidates(recipe("grad_dot"), task, Grid(dampings=(1.0,)))
    with pytest.raises(InvalidInput, match="--size"):
        candidates(recipe("if_exact"), task, Grid(sizes=(5,)))
