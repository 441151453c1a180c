"""The sign of every recipe's scores against real retraining.

Multinomial logistic regression with a ridge has one optimum, so retraining without some points has one answer:
without a query's top proponents its loss must rise, without its top opponents it must fall.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.attribution.opening import load_index_task
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.recipes import RECIPES
from byline.search.searcher import Searcher
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from tests.end_to_end import ridge_task

REMOVED = 12
QUERIES = 12


@pytest.fixture(scope="module")
def truth() -> "Retraining":
    x, y, _, _ = ridge_task.data()
    return Retraining(lambda keep: ridge_task.trained(x[keep], y[keep]))


class Retraining:
    """Query losses of the model that saw everything, and of models that did not."""

    def __init__(self, trained: Callable[[Tensor], nn.Module]) -> None:
        self._trained = trained
        self.x, self.y, self.query_x, self.query_y = ridge_task.data()
        self.whole = self._losses(torch.ones(len(self.x), dtype=torch.bool))

    def change(self, removed: Tensor) -> Tensor:
        """How every query's loss changes without these points."""
        keep = torch.ones(len(self.x), dtype=torch.bool)
        keep[removed] = False
        return self._losses(keep) - self.whole

    def _losses(self, keep: Tensor) -> Tensor:
        model = self._trained(keep)
        return F.cross_entropy(model(self.query_x), self.query_y, reduction="none").detach()


HESSIAN = {"curvature": {"matrix": "hessian"}, "sides": "one_sided"}


SIGNED = [name for name, row in RECIPES.items() if row.query_target != "square"]
"""Recipes whose signs are of an effect: D-TRAK's positive scores mean likeness."""


@pytest.mark.parametrize(("name", "changes"), [*((name, {}) for name in SIGNED), ("if_exact", HESSIAN)])
def test_proponents_helped_and_opponents_hurt(
    name: str, changes: dict, truth: Retraining, tmp_path: Path
) -> None:
    reference = f"{Path(ridge_task.__file__)}:task"
    if RECIPES[name].recorded:  # its truth is the same run, the same batches without the points
        reference = ridge_task.record(tmp_path, RECIPES[name])
        truth = Retraining(lambda keep: ridge_task.descended(keep.float()))
    config = {
        "task": reference,
        "recipe": {"name": name, "projection": {"kind": RECIPES[name].projection.kind}, **changes},
        "index": {"path": tmp_path / "index"},
    }
    index = AttributionIndex.open(build(BuildConfig.model_validate(config)).path)
    featurizer = Featurizer.open(
        load_index_task(index), index.recipe, {m.name: index.states(m.name) for m in index.manifest.members}
    )
    queries = list(zip(truth.query_x[:QUERIES], truth.query_y[:QUERIES], strict=True))
    features = featurizer.query(queries).numpy()
    searcher = Searcher(index)
    ups = [
        float(truth.change(torch.tensor(hit))[q])
        for q, hit in enumerate(searcher.search(features, REMOVED).rows_QK)
    ]
    opponents = searcher.search(features, REMOVED, opponents=True).rows_QK
    downs = [float(truth.change(torch.tensor(hit))[q]) for q, hit in enumerate(opponents)]
    assert sum(u > 0 for u in ups) >= QUERIES - 1, (
        f"{name}: without its proponents a query's loss must rise, got {ups}"
    )
    assert sum(d < 0 for d in downs) >= QUERIES - 2, f"{name}: without opponents it must fall, got {downs}"


def test_the_reference_really_trains(truth: Retraining) -> None:
    model = ridge_task.trained(truth.x, truth.y)
    assert isinstance(model, nn.Module)
    assert float((model(truth.query_x).argmax(dim=1) == truth.query_y).float().mean()) > 0.8
