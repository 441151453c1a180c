"""Row weights: rescaled influence is leave-one-out itself on ridge regression."""

from pathlib import Path

import numpy as np
import torch

from byline.query_features import Featurizer
from byline.row_weights import LARGEST_LEVERAGE, inverse_lengths, rescaled
from byline.search.searcher import Searcher
from byline.store.index import AttributionIndex
from indexer.build import build
from indexer.config import BuildConfig
from tests import ridge_regression


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
    assert rescaled(torch.tensor([0.0, 0.5, 1.5])).tolist() == [1, 2, 1 / (1 - LARGEST_LEVERAGE)]
    assert inverse_lengths(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [0.2, 0.0]
