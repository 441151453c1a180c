"""Recall of compressed search, measured on the Task's own queries for every target."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.probe import make_plan
from byline_indexer.build.recall_queries import QUERIES, real_queries
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.schedule import run_units
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import TINY, Config

QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 1}


def made(config: Config, task: Task, folder: Path, recipe: str = "trak") -> tuple[dict[str, Any], list[str]]:
    plan = make_plan(config(recipe), task, folder)
    workspace, told = Workspace(plan.work), list[str]()
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    return real_queries(plan, workspace, task, told.append), told


def test_every_target_is_measured_on_items_that_were_not_trained_on(
    config: Config, tiny: Task, tmp_path: Path
) -> None:
    evaluation = [(torch.full((6,), float(i)), i % 3) for i in range(5)]
    features, told = made(config, replace(tiny, evaluation_set=evaluation), tmp_path / "work")
    assert (list(features), told) == (["loss", "logit", "margin"], [])
    index = AttributionIndex.open(build(config("trak")).path)
    states = {member.name: index.states(member.name) for member in index.members}
    featurizer = Featurizer.open(tiny, index.recipe, states)
    for target, features_QK in features.items():
        expected = featurizer.query(evaluation, target).numpy()
        np.testing.assert_allclose(features_QK, expected, rtol=1e-4, atol=1e-6)


def test_training_points_stand_in_where_there_is_no_evaluation_set(
    config: Config, tiny: Task, tmp_path: Path
) -> None:
    features, _ = made(config, tiny, tmp_path / "work")
    assert {len(features_QK) for features_QK in features.values()} == {QUERIES}


def test_a_target_that_fails_is_told_and_left_out(config: Config, tiny: Task, tmp_path: Path) -> None:
    def broken(model: Any, batch: Any) -> Any:
        if (batch[0] > 8).any():
            raise KeyError("secret")
        return model(batch[0])[:, 0]

    def endless(model: Any, batch: Any) -> Any:
        return model(batch[0])[:, 0] * torch.where((batch[0] > 8).any(dim=1), torch.nan, 1.0)

    odd = replace(
        tiny,
        targets={**tiny.targets, "broken": broken, "endless": endless},
        evaluation_set=[(torch.full((6,), 9.0), 0)],
    )
    features, told = made(config, odd, tmp_path / "work")
    assert list(features) == ["loss", "logit", "margin"]
    assert len(told) == 2
    assert "'broken'" in told[0]
    assert "'endless'" in told[1]
    assert "secret" not in "".join(told)


@pytest.mark.parametrize("recipe", ["trak", "if_cg"])
def test_the_manifest_of_a_build_declares_them(config: Config, recipe: str) -> None:
    path = build(config(recipe, storage={"search": "compressed"})).path
    declared = {record.kind for record in AttributionIndex.open(path).manifest.search.recall}
    targets = {"target loss"} if recipe == "if_cg" else {"target loss", "target margin", "target logit"}
    assert targets <= declared
    assert {"training rows", "random", "orthogonal to the mean row"} <= declared


def test_an_exact_build_differentiates_no_query(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("asked for queries")

    monkeypatch.setattr("byline_indexer.build.build.real_queries", refuse)
    assert AttributionIndex.open(build(config("trak")).path).manifest.search.recall == ()


def test_answers_say_how_they_were_searched(config: Config) -> None:
    # So few rows are scanned, whatever codes there are; codes alone are never exact.
    exact, kept, codes = (
        Attributor.open(build(config("trak", storage=storage, index=name)).path)
        for name, storage in {
            "a": {},
            "b": {"search": "compressed"},
            "c": {"search": "compressed", "keep": "codes"},
        }.items()
    )
    request = AttributionRequest(query=QUERY, direction="both", shares=True)
    for attributor in (exact, kept):
        answer = attributor.attribute(request)
        assert answer.exact
        assert answer.search is not None
        assert answer.search.model_dump() == {"exact": True, "candidates": 90, "expected_recall": 1.0}
    answer = codes.attribute(request)
    assert not answer.exact
    assert answer.search is not None
    lowest = codes.index.manifest.search.recall_at_least
    assert answer.search.model_dump() == {"exact": False, "candidates": 90, "expected_recall": lowest}
    assert 0 <= lowest < 1
    shares = codes.shares(request)
    assert (shares.exact, shares.search) == (True, None)
    assert load_task(f"{TINY}:task").task.name == answer.index
