from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from byline.curvature import linalg
from byline.errors import InvalidInput, InvalidRecipe, InvalidTask
from byline.loading.task_file import load_task
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build import vector_memory
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from tests.indexer.conftest import TINY, Config


def test_the_plan_knows_members_and_statistics(config: Config, tiny: Task) -> None:
    plan = make_plan(config("ekfac"), tiny, Path("work"))
    assert [member.name for member in plan.members] == ["c0-m0", "c0-m1", "c1-m0", "c1-m1"]
    assert [s.name for s in plan.statistics] == ["factors", "eigenvalues"]
    assert not plan.keeps_projections
    sampled = make_plan(config("ekfac", changes={"curvature": {"sample": 89}}), tiny, Path("work"))
    assert [s.name for s in sampled.statistics] == ["factors", "eigenvalues", "kept"]
    assert sampled.keeps_projections
    assert not make_plan(config("kfac"), tiny, Path("work")).keeps_projections
    assert make_plan(config("trak"), tiny, Path("work")).keeps_projections


def test_a_gpu_that_is_not_there_is_refused(
    config: Config, tiny: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="finds 0 GPUs"):
        make_plan(config("ekfac", device="cuda"), tiny)


@pytest.mark.parametrize("name", ["if_cg", "if_lissa", "arnoldi"])
def test_whole_vectors_that_do_not_fit_are_refused(
    config: Config, tiny: Task, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def of(memory: float = 4.0) -> BuildConfig:
        changed = config(memory=memory).model_copy(update={"recipe": recipe(name)})
        assert changed.build.memory == memory
        return changed

    plan = make_plan(of(), tiny)
    numbers = sum(block.rows * block.columns for block in plan.parameter_blocks)
    monkeypatch.setattr(vector_memory, "LIBRARIES", 4 * 10**9 - 60 * numbers)
    with pytest.raises(InvalidRecipe, match=rf"got {numbers:,} attributed numbers.*raise build\.memory"):
        make_plan(of(), tiny)
    make_plan(of(4.1), tiny)
    make_plan(config("ekfac"), tiny)


def test_a_share_of_the_evaluation_set_needs_one(config: Config, tiny: Task) -> None:
    wanted = config("logra", changes={"curvature": {"evaluation": 0.5}})
    with pytest.raises(InvalidTask, match=r"curvature\.evaluation = 0"):
        make_plan(wanted, tiny)
    plan = make_plan(wanted, replace(tiny, evaluation_set=[tiny.train_set[0]] * 5))
    assert [(s.name, s.source) for s in plan.statistics] == [
        ("evaluation", "evaluation"),
        ("fisher", "projected"),
    ]
    assert plan.evaluation_rows == sum(map(len, plan.fit_blocks("evaluation"))) == 5


def test_given_moments_are_not_measured(config: Config, tiny: Task) -> None:
    given = load_task(f"{TINY}:trained_task").task
    changes: dict[str, object] = {"scale": {"kind": "second_moment"}}
    for task, blocks in ((tiny, 6), (given, 0)):
        plan = make_plan(config("logra", changes=changes), task)
        assert plan.statistics[0].name == "second_moment"
        assert len(plan.measures("c0", "second_moment")) == blocks
    half = replace(given, checkpoints=[given.checkpoints[0], tiny.checkpoints[1]])
    assert len(make_plan(config("logra", changes=changes), half).measures("c1", "second_moment")) == 6


def test_targets_and_checkpoints_must_exist(config: Config, tiny: Task) -> None:
    with pytest.raises(InvalidTask, match="one of the targets loss"):
        make_plan(config("trak"), replace(tiny, targets={}))
    with pytest.raises(InvalidRecipe, match="positions below 2"):
        make_plan(config("trak", changes={"members": {"checkpoints": [2]}}), tiny)


def test_what_a_task_lacks_is_told_before_any_work(config: Config, tiny: Task) -> None:
    bare = replace(tiny, outputs=None)
    for name, changes in (
        ("if_cg", {}),
        ("if_lissa", {}),
        ("logra", {"curvature": {"labels": "sampled"}}),
        ("ekfac", {"curvature": {"labels": "exact"}}),
    ):
        with pytest.raises(InvalidTask, match=r"expected Task\.outputs"):
            make_plan(config(name, changes=changes), bare)
    make_plan(config("if_cg", changes={"curvature": {"matrix": "hessian"}}), bare)
    whole = replace(
        tiny, model=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Identity(), nn.Linear(8, 3))
    )
    with pytest.raises(InvalidRecipe, match="needs dropout modules"):
        make_plan(config("trak", changes={"members": {"forward_masks": 2}}), whole)
    make_plan(config("trak"), whole)


@pytest.mark.parametrize("name", ["logra", "trak"])
def test_a_matrix_that_is_too_large_is_refused(
    name: str, config: Config, tiny: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linalg, "LARGEST", 15)
    with pytest.raises(InvalidRecipe, match="at most 15 numbers"):
        make_plan(config(name), tiny)
