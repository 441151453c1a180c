"""Row weights: rescaled influence is leave-one-out itself on ridge regression."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.curvature.labels import can_list_labels, content_keys
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.index.layout import StorageOptions
from byline.loading.task_file import load_task
from byline.scale.row_weights import LARGEST_LEVERAGE, inverse_lengths, leverage_weights
from byline.search.searcher import Searcher
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.index import BuildOptions, build_index
from byline_indexer.config import BuildConfig
from byline_indexer.scores import score_items
from tests.indexer.conftest import TINY
from tests.reference import ridge_regression


@pytest.fixture
def tiny() -> Task:
    return load_task(f"{TINY}:task").task


def test_rescaled_influence_is_leave_one_out_on_ridge_regression(tmp_path: Path) -> None:
    """Predictions of models really solved without each point, against the scores through a built index."""
    config = {
        "task": f"{Path(ridge_regression.__file__)}:task",
        "recipe": {
            "name": "rif",
            "projection": {"kind": "identity"},
            "curvature": {"kind": "explicit", "damping": ridge_regression.relative_damping()},
        },
        "index": {"path": tmp_path / "index", "dtype": "fp32"},
    }
    index = AttributionIndex.open(build(BuildConfig.model_validate(config)).path)
    task = ridge_regression.task()
    states = {m.name: dict(index.states(m.name)) for m in index.members}
    queries = [(x, torch.tensor(0.0)) for x in ridge_regression.queries()]
    features = Featurizer.open(task, index.recipe, states).query(queries, "prediction")
    found_QR = Searcher(index).scores(features.numpy()) / ridge_regression.ROWS
    truth_QR = ridge_regression.leave_one_out()
    assert np.abs(found_QR - truth_QR).max() <= 1e-3 * np.abs(truth_QR).max()


def test_weights_are_bounded_and_zeros_stay_zeros() -> None:
    assert leverage_weights(torch.tensor([0.0, 0.5, 1.5])).tolist() == [1, 2, 1 / (1 - LARGEST_LEVERAGE)]
    assert inverse_lengths(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [0.2, 0.0]


@pytest.mark.parametrize("name", ["rif", "relatif", "ekfac", "trak"])
def test_identical_points_have_identical_scores(tmp_path: Path, tiny: Task, name: str) -> None:
    """Leverages at one drawn label a point differed by 40 %: a draw is of a point's row, its expectation is not."""
    items = [tiny.train_set[0]] * 30 + [tiny.train_set[row] for row in range(30, 90)]
    task = replace(tiny, train_set=items)
    options = BuildOptions(block_rows=16, batch_rows=8, storage=StorageOptions(dtype="fp32"))
    index = AttributionIndex.open(build_index(task, name, tmp_path / "index", options))
    own = index.self_influence[:30]
    assert np.ptp(own) <= 1e-5 * np.abs(own).max()
    queries = [tiny.train_set[5], tiny.train_set[17]]
    scores_QR = score_items(index, task, queries, index.recipe.query_target)[:, :30]
    assert (np.ptp(scores_QR, axis=1) <= 1e-5 * np.abs(scores_QR).max(axis=1)).all()


def test_leverages_of_sequences_are_drawn_by_content(tiny: Task) -> None:
    """Too many labellings to list: the same item still gets the same draw, wherever it stands."""
    first, second = content_keys([tiny.train_set[3], tiny.train_set[4]]).tolist()
    assert content_keys([tiny.train_set[4], tiny.train_set[3]]).tolist() == [second, first]
    assert first != second
    assert can_list_labels(tiny.outputs, torch.zeros(5, 64))
    assert not can_list_labels(tiny.outputs, torch.zeros(5, 65))
    assert not can_list_labels(tiny.outputs, torch.zeros(5, 7, 3))
