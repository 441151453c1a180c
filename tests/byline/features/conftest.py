"""Fixtures that the test modules of this folder share."""

from pathlib import Path

import pytest

from byline.features.fitting import fit
from byline.features.queries import Featurizer
from byline.loading.task_file import load_task
from byline.models.member import MemberModel
from byline.recipes import Recipe, recipe
from byline.task import Task
from byline.types import State

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"


RECIPE = recipe("ekfac", projection={"size": 40}, members={"masks": 2})


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(f"{TINY}:task").task


@pytest.fixture(scope="module")
def featurizer(task: Task) -> Featurizer:
    return Featurizer.open(task, RECIPE, fitted(task, RECIPE))


def fitted(task: Task, chosen: Recipe) -> dict[str, State]:
    """Fit every member on the whole training set, as one batch."""
    items = [task.train_set[row] for row in range(len(task.train_set))]
    states = {}
    for member in chosen.members.members(len(task.checkpoints)):
        model = MemberModel.load(task, chosen, member)
        states[member.name] = fit(chosen, model.blocks, [model.gradients(items)])
    return states
