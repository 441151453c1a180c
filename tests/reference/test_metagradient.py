"""The reference itself: against differences of weights, against leaving points out, and against torch's optimizers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.reference.metagradient import AdamW, final_parameters, left_out, metagradients, scores
from tests.reference.runs import RUNS, Trained, losses_of


@pytest.fixture(scope="module", params=RUNS)
def trained(request: pytest.FixtureRequest) -> Trained:
    return RUNS[request.param]()


def test_it_is_the_slope_of_retraining(trained: Trained) -> None:
    found_QR = metagradients(trained.run, trained.query_losses).numpy()
    step = 1e-5
    for row in range(0, trained.run.points, 3):
        losses = []
        for sign in (1, -1):
            weights_R = torch.ones(trained.run.points, dtype=torch.float64)
            weights_R[row] += sign * step
            losses.append(trained.query_losses(final_parameters(trained.run, weights_R)).detach().numpy())
        slope_Q = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(found_QR[:, row], slope_Q, rtol=1e-4, atol=1e-6 * np.abs(found_QR).max())


def test_its_scores_have_the_signs_of_leaving_points_out(trained: Trained) -> None:
    scores_QR = scores(trained.run, trained.query_losses).numpy()
    rises_QR = left_out(trained.run, trained.query_losses, range(trained.run.points)).numpy()
    strong = np.abs(rises_QR) > np.median(np.abs(rises_QR))
    assert (np.sign(scores_QR) == np.sign(rises_QR))[strong].mean() > 0.95
    assert np.mean([spearmanr(a, b).statistic for a, b in zip(scores_QR, rises_QR, strict=True)]) > 0.9


def test_its_run_is_torchs(trained: Trained) -> None:
    run, case = trained.run, trained.case
    ours = final_parameters(run, torch.ones(run.points, dtype=torch.float64))
    theirs = {name: p.clone().requires_grad_() for name, p in run.start.items()}
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "Sgd": torch.optim.SGD,
        "AdamW": torch.optim.AdamW,
    }
    constants = {"eps": run.optimizer.eps} if isinstance(run.optimizer, AdamW) else {}
    optimizer = kinds[type(run.optimizer).__name__](theirs.values(), lr=1.0, **constants)
    for rows_B, rate in zip(run.batches, run.optimizer.rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        losses_of(case, theirs, rows_B.tolist()).mean().backward()
        optimizer.step()
    for name, p in theirs.items():
        torch.testing.assert_close(ours[name].detach(), p.detach(), rtol=1e-9, atol=1e-12)


def test_a_point_that_no_batch_has_scores_nothing(trained: Trained) -> None:
    used = set(torch.cat(list(trained.run.batches)).tolist())
    scores_QR = scores(trained.run, trained.query_losses)
    assert not scores_QR[:, [row for row in range(trained.run.points) if row not in used]].any()
    assert scores_QR.isfinite().all()
