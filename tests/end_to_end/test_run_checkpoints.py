"""Checkpoints of one run as members: each has its own weights, moments, learning rate and steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from byline.errors import InvalidTask
from byline.index.index import AttributionIndex
from byline.index.verification import verify
from byline.loading.task_file import LoadedTask, load_task
from byline.models.optimizer_state import adam_state
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.scores import score_items
from tests.indexer.evaluation.conftest import SOURCE

STEPS = (5, 20, 80)
RUN = """

def run() -> Task:
    folder = Path(__file__).parent
    made = task()
    return replace(made, checkpoints=[
        Checkpoint(
            weights=folder / f"step-{steps}.safetensors",
            optimizer_state=folder / f"adam-{steps}.safetensors",
            learning_rate=0.05 / (1 + steps),
            steps=steps,
        )
        for steps in STEPS
    ])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Task's file, and three checkpoints of one AdamW run with the moments beside them."""
    (tmp_path / "run_task.py").write_text(SOURCE.read_text() + RUN.replace("STEPS", str(STEPS)))
    task = load_task(f"{tmp_path / 'run_task.py'}:task").task
    model, batch = task.model(), task.collate(list(task.train_set))
    torch.manual_seed(0)
    torch.nn.init.normal_(model.weight, std=0.05)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)

    for step in range(1, max(STEPS) + 1):
        optimizer.zero_grad()
        task.loss(model, batch).mean().backward()
        optimizer.step()
        if step in STEPS:
            save_file(model.state_dict(), tmp_path / f"step-{step}.safetensors")
            save_file(adam_state(optimizer, model), tmp_path / f"adam-{step}.safetensors")
    return tmp_path


def config(folder: Path, index: str, function: str = "run", **changes: object) -> BuildConfig:
    chosen = {
        "name": "ekfac",
        "projection": {"size": 4096},
        "scale": {"kind": "second_moment", "factored": False, "power": 0.25},
        "curvature": {"filter": "finite_run"},
        "members": {"weights": "learning_rate"},
        **changes,
    }
    return BuildConfig.model_validate(
        {
            "task": f"{folder / 'run_task.py'}:{function}",
            "recipe": chosen,
            "index": {"path": folder / index, "dtype": "fp32"},
            "build": {"block_rows": 16, "batch_rows": 8},
        }
    )


def scores(chosen: BuildConfig) -> np.ndarray:
    task = load_task(chosen.task).task
    with AttributionIndex.open(build(chosen).path) as index:
        return score_items(index, task, [task.evaluation_set[row] for row in range(4)], "loss").astype(float)


def test_scores_are_the_weighted_mean_of_each_checkpoints_own(folder: Path) -> None:
    each = [
        scores(config(folder, f"c{place}", members={"checkpoints": [place]})) for place in range(len(STEPS))
    ]
    rates = np.array([0.05 / (1 + steps) for steps in STEPS])
    expected = np.einsum("m,mqn->qn", rates / rates.sum(), each)
    found = scores(config(folder, "all"))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    # Directions of a PCA are kept in eight bits.
    rotated = scores(config(folder, "pca", pca={"size": 64}))
    assert np.abs(rotated - expected).max() <= 0.02 * np.abs(expected).max()
    assert np.abs(each[0] - each[2]).max() > 0.1 * np.abs(each[0]).max()


def test_each_member_has_its_own_moments(folder: Path) -> None:
    chosen = [config(folder, f"c{place}", members={"checkpoints": [place]}) for place in range(3)]
    before = [scores(each) for each in chosen]
    adam = folder / f"adam-{STEPS[1]}.safetensors"
    save_file({name: tensor.flip(0) for name, tensor in load_file(adam).items()}, adam)
    after = [scores(each) for each in chosen]
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[2], before[2])
    assert np.abs(after[1] - before[1]).max() > 1e-2 * np.abs(before[1]).max()


def test_steps_are_part_of_an_indexs_name(folder: Path) -> None:
    loaded = load_task(f"{folder / 'run_task.py'}:run")

    def declared(steps: int | None) -> LoadedTask:
        """The same source, whose digest does not cover the steps."""
        checkpoints = [replace(each, steps=steps) for each in loaded.task.checkpoints]
        return replace(loaded, task=replace(loaded.task, checkpoints=checkpoints))

    chosen = config(folder, "index")
    damped = config(folder, "index", curvature={"filter": "damped"})
    first, second = (build(chosen, loaded=declared(steps)).path for steps in (7, 8))
    assert first != second
    assert build(chosen, loaded=declared(7)).path == first
    assert build(damped, loaded=declared(7)).path == build(damped, loaded=declared(None)).path
    message = r"expected Checkpoint\.steps on checkpoint 0, since curvature\.filter = 'finite_run': declare"
    with pytest.raises(InvalidTask, match=message):
        build(chosen, loaded=declared(None))


def test_a_run_is_built_verified_and_evaluated(folder: Path) -> None:
    chosen = config(folder, "index", pca={"size": 16})
    done = evaluate(chosen, EvaluationOptions(out=folder / "out", subsets=12, tuning=0))
    assert done.measured.measurement.value > 0.4
    with AttributionIndex.open(build(chosen).path) as index:
        assert [member.weight for member in index.members] == [0.05 / (1 + steps) for steps in STEPS]
        verify(index.path)
