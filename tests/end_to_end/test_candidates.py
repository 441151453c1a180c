"""Predicted effects of candidates against real retraining with each of them.

Multinomial logistic regression with a ridge has one optimum, so training on one more point has one answer. The damping is
the ridge, and the Hessian of the loss is its Gauss-Newton matrix.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

import byline
from byline.attribution.selection import SelectionOptions
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from tests.end_to_end import ridge_task

CANDIDATES, TARGETS = 40, 25


def split() -> tuple[list, list]:
    """Candidates, a quarter of them with a wrong label, and target points."""
    _, _, x, y = ridge_task.data()
    spare_x, spare_y = more(CANDIDATES)
    spare_y[::4] = (spare_y[::4] + 3) % 10
    return list(zip(spare_x, spare_y, strict=True)), list(zip(x[:TARGETS], y[:TARGETS], strict=True))


def more(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits that are neither trained on nor queries."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[-count:]
    return torch.from_numpy(pixels / 16).float()[order], torch.from_numpy(labels)[order].clone()


def ridge_damping() -> float:
    """The ridge in units of the Gauss-Newton matrix's mean eigenvalue."""
    x, y, _, _ = ridge_task.data()
    with torch.no_grad():
        p_NC = ridge_task.trained(x, y)(x).softmax(1)
    trace = ((p_NC * (1 - p_NC)).sum(1) * (x.square().sum(1) + 1)).mean()
    return ridge_task.RIDGE * 650 / float(trace)


@pytest.fixture(scope="module")
def retrained() -> NDArray[np.float64]:
    """Change of every target point's loss by every candidate, [candidates, targets]."""
    candidates, targets = split()
    x, y, _, _ = ridge_task.data()
    target_x, target_y = torch.stack([t for t, _ in targets]), torch.stack([t for _, t in targets])

    def losses(extra: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        all_x = torch.cat([x, *(e[None] for e, _ in extra)])
        model = ridge_task.trained(all_x, torch.cat([y, *(e[None] for _, e in extra)]))
        return F.cross_entropy(model(target_x), target_y, reduction="none").detach().double()

    whole = losses([])
    return torch.stack([losses([each]) - whole for each in candidates]).numpy()


def predicted(name: str, changes: dict, folder: Path, reduction: str = "mean") -> NDArray[np.float64]:
    candidates, targets = split()
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    index = byline.build(ridge_task.task(), recipe(name, **changes), folder, options, progress=False)
    found = index.score_candidates(candidates, targets, SelectionOptions(reduction=reduction))
    assert found.effect.unit == "nats"
    assert found.predicted_changes is not None
    return found.predicted_changes


def test_exact_influence_predicts_the_change_in_nats(retrained: NDArray, tmp_path: Path) -> None:
    found = predicted("if_exact", {"curvature": {"damping": ridge_damping()}}, tmp_path)
    truth = retrained.mean(axis=1)
    slope = float(found @ truth / (found @ found))
    assert 0.85 < slope < 1.1
    assert np.corrcoef(found, truth)[0, 1] > 0.98
    large = np.abs(truth) > np.abs(truth).max() / 5
    assert large.sum() > 8
    assert (np.sign(found) == np.sign(truth))[large].all()


def test_kronecker_factors_predict_its_size(retrained: NDArray, tmp_path: Path) -> None:
    exact_labels = {"labels": "exact", "damping": ridge_damping()}
    changes = {"projection": {"size": 650, "rank": 65}, "curvature": exact_labels}
    found, truth = predicted("ekfac", changes, tmp_path), retrained.mean(axis=1)
    slope = float(found @ truth / (found @ found))
    assert 0.5 < slope < 2.0
    assert np.corrcoef(found, truth)[0, 1] > 0.9


def test_the_sum_of_several_is_close_to_training_on_all_of_them(tmp_path: Path) -> None:
    found = predicted("if_exact", {"curvature": {"damping": ridge_damping()}}, tmp_path)
    candidates, targets = split()
    best = np.argsort(found)[:5]
    x, y, _, _ = ridge_task.data()
    target_x, target_y = torch.stack([t for t, _ in targets]), torch.stack([t for _, t in targets])
    more_x = torch.cat([x, *(candidates[place][0][None] for place in best)])
    more_y = torch.cat([y, *(candidates[place][1][None] for place in best)])
    before, after = (
        float(F.cross_entropy(ridge_task.trained(*data)(target_x), target_y).detach())
        for data in ((x, y), (more_x, more_y))
    )
    measured = after - before
    assert 0.6 < measured / found[best].sum() < 1.2
