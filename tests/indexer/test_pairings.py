"""Every part of a recipe beside every other: what is accepted builds and holds together, all else is refused early."""

import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidRecipe, InvalidTask
from byline.features.queries import Featurizer
from byline.groups import GroupOptions
from byline.loading.task_file import load_task
from byline.recipes import recipe, refuse_unsummable
from byline.task import Task
from byline_indexer.build.build import open_workspace, with_groups
from byline_indexer.build.contents import combined_blocks, group_blocks, member_state
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig, BuildSection, IndexSection
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.outputs import every_weight
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from tests.indexer import tiny_task

SOURCE = f"{Path(tiny_task.__file__)}:trained_task"
AXES: dict[str, list] = {
    "projection": [
        {"kind": "identity"},
        {"kind": "dense", "size": 20},
        {"kind": "sjlt", "size": 20},
        {"kind": "mask", "size": 20},
        {"kind": "grass", "size": 16, "kept": 30},
        {"kind": "factorised", "size_in": 4, "size_out": 3},
        {"kind": "factorised_grass", "kept_in": 4, "kept_out": 3, "size": 9},
        {"kind": "eigenbasis", "size": 30},
        {"kind": "ritz", "size": 12},
    ],
    "curvature": [
        {"kind": "none"},
        {"kind": "fisher"},
        {"kind": "fisher", "blocks": "layer", "labels": "sampled"},
        {"kind": "fisher", "evaluation": 0.5, "labels": "exact"},
        {"kind": "explicit"},
        {"kind": "explicit", "matrix": "hessian", "damping": 300.0},
        {"kind": "datainf"},
        {"kind": "kfac"},
        {"kind": "ekfac", "sample": 40},
        {"kind": "ekfac", "labels": "exact"},
        {"kind": "trajectory"},
        {"kind": "cg"},
        {"kind": "lissa"},
        {"kind": "arnoldi", "steps": 14},
        {"kind": "arnoldi", "steps": 14, "matrix": "ggn"},
    ],
    "sides": ["none", "one_sided", "two_sided", "solved"],
    "unit_norm": [False, True],
    "row_weight": ["none", "one_minus_p", "leverage", "relative_theta", "relative_l"],
    "scale": [
        {"kind": "none"},
        {"kind": "second_moment"},
        {"kind": "second_moment", "factored": False},
        {"kind": "adam"},
    ],
    "train_signal": ["loss", "margin"],
    "layers": ["all", "last"],
    "pca": [None, {"size": 10}],
    "members": [
        {},
        {"masks": 2, "mask_rate": 0.3},
        {"masks": 2, "queries": "whole"},
        {"forward_masks": 2},
        {"weights": "learning_rate"},
        {"checkpoints": [1]},
        {"adapters": 1},
    ],
    "groups": [
        None,
        {"by": "random", "size": 7},
        {"by": "random", "size": 7, "build": "fast", "micro_batch": 4},
        {"by": "random", "size": 40, "build": "fast", "micro_batch": 1},
        {"by": "owner"},
    ],
}
"""Every part with every kind that it has, in sizes that fit the tiny Task."""
Choice = dict[str, int]
DRAWN = 4000
BUILT = 28
TOLERANCE = 1e-3


def configured(choice: Choice) -> BuildConfig:
    parts = {axis: AXES[axis][place] for axis, place in choice.items()}
    groups = parts.pop("groups")
    parts = {axis: part for axis, part in parts.items() if part is not None}
    chosen = recipe("grad_dot", query_target=parts["train_signal"], **parts)
    if groups is not None:
        refuse_unsummable(chosen, GroupOptions.model_validate(groups))
    return BuildConfig(
        task=SOURCE,
        recipe=chosen,
        index=IndexSection(path=Path("index")),
        build=BuildSection(block_rows=48, batch_rows=24),
        groups=groups,
    )


def drawn() -> Iterator[Choice]:
    """Draw parts; kinds that only go together are mostly drawn together, or hardly any would be accepted.

    Yields:
        A kind of every part, by its place.
    """
    random_numbers = random.Random(0)
    own_projection = {"kfac": 7, "ekfac": 7, "arnoldi": 8}
    own_sides = {"none": [0], "cg": [3], "lissa": [3]}
    for number in range(DRAWN):
        choice = {axis: random_numbers.randrange(len(parts)) for axis, parts in AXES.items()}
        if number % 3 == 0:  # what goes with little else
            choice = {axis: place * (random_numbers.random() < 0.35) for axis, place in choice.items()}
        if number % 8:
            kind = AXES["curvature"][choice["curvature"]]["kind"]
            choice["projection"] = own_projection.get(kind, choice["projection"] % 7)
            choice["sides"] = random_numbers.choice(own_sides.get(kind, [1, 2]))
            choice["scale"] *= number % 2
            if choice["members"] == 3:
                choice |= {"row_weight": 1, "train_signal": 1}
        yield choice


def accepted() -> list[Choice]:
    found = []
    for choice in drawn():
        try:
            configured(choice)
        except InvalidRecipe:
            continue
        found.append(choice)
    return found


def covering(choices: list[Choice]) -> list[Choice]:
    """A few of them: every kind first, then as many pairs of kinds as possible stand beside each other."""
    kinds = [{*choice.items(), *combinations(sorted(choice.items()), 2)} for choice in choices]
    left = set().union(*kinds)
    taken = []
    for _ in range(BUILT):
        best = max(
            range(len(choices)),
            key=lambda place: sum(1000 if isinstance(new[0], str) else 1 for new in kinds[place] & left),
        )
        taken.append(choices[best])
        left -= kinds[best]
    return taken


CHOSEN = covering(accepted())


def named(choice: Choice) -> str:
    return "-".join(map(str, choice.values()))


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(SOURCE).task


def test_every_kind_is_accepted_beside_some_others() -> None:
    seen = {(axis, place) for choice in CHOSEN for axis, place in choice.items()}
    every = {(axis, place) for axis, parts in AXES.items() for place in range(len(parts))}
    assert seen == every


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, id=named(choice), marks=[pytest.mark.slow] * (n % 4 > 0))
        for n, choice in enumerate(CHOSEN)
    ],
)
def test_what_is_accepted_builds_and_holds_together(choice: Choice, task: Task, tmp_path: Path) -> None:
    try:
        plan = make_plan(configured(choice), task, tmp_path / "work")
    except (InvalidRecipe, InvalidTask):
        return  # no recording, no adapters: told before any work
    workspace = open_workspace(plan, Silent())
    plan = with_groups(plan, workspace, task, Silent())
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    states = {member.name: member_state(plan, workspace, member.name) for member in plan.members}
    featurizer = Featurizer.open(task, plan.recipe, states)
    items, weights_R = list(task.train_set), every_weight(plan, workspace).numpy()
    assert np.isfinite(weights_R).all()
    if plan.groups is None:
        stored_RK = np.concatenate(list(combined_blocks(plan, workspace))).astype(np.float64)
        scores_alike(plan, featurizer.query(items).double().numpy() @ stored_RK.T)
    # Leverages and forward masks' weights are the build's alone; every other weight a drill-down makes anew.
    own = plan.recipe.row_weight != "leverage" and not plan.recipe.members.forward_masks
    unweighted = Featurizer.open(task, plan.recipe.model_copy(update={"row_weight": "none"}), states)
    bare_RK = unweighted.train(items).double().numpy()
    points_RK = bare_RK * weights_R[:, None]
    if own:
        close(featurizer.train(items).double().numpy(), points_RK)
    if plan.groups is None:
        close(stored_RK, bare_RK)
    else:
        stored_JK = np.concatenate(list(group_blocks(plan, workspace)))
        close(stored_JK, np.stack([points_RK[plan.groups[j]].sum(axis=0) for j in range(len(plan.groups))]))


def scores_alike(plan: BuildPlan, scores_RR: np.ndarray) -> None:
    """Without its row weight the score of one point for another is the other's for the one."""
    chosen = plan.recipe
    assert np.isfinite(scores_RR).all()
    alike = chosen.scale.linear and chosen.members.queries == "masked" and chosen.sides != "solved"
    if alike and not (chosen.sides == "one_sided" and chosen.pca):
        close(scores_RR, scores_RR.T)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
