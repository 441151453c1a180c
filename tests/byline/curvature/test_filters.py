"""Filters of a spectrum: the finite run is gradient descent on a quadratic loss, and its limits are right."""

import numpy as np
import pytest
import torch

from byline.curvature.filters import RUN_TIME, Damped, FiniteRun, RunTimeStatistic
from byline.curvature.kronecker import select_coordinates
from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.features.fitting import fit
from byline.gradients.checks import build_collector
from byline.recipes import recipe
from tests.reference import models

ONE = torch.tensor(1.0, dtype=torch.float64)


def test_a_run_of_small_steps_on_a_quadratic_loss() -> None:
    torch.manual_seed(0)
    half = torch.randn(6, 9, dtype=torch.float64)
    hessian = half.T @ half / 6  # rank 6 of 9
    gradient, moved = torch.randn(9, dtype=torch.float64), torch.zeros(9, dtype=torch.float64)
    rate, steps = 1e-3, 2000
    for _ in range(steps):
        moved += rate * (gradient - hessian @ moved)
    values, vectors = torch.linalg.eigh(hessian)
    inverse = FiniteRun(rate * steps).inverse(values.clamp_min(0), ONE)
    torch.testing.assert_close(vectors @ ((vectors.T @ gradient) / inverse), moved, rtol=5e-3, atol=5e-3)


def test_limits_and_damping() -> None:
    values = torch.tensor([0.0, 1e-15, 1e-9, 1e-4, 1.0, 1e6], dtype=torch.float64)
    found = FiniteRun(50.0).inverse(values, ONE)
    assert bool(found.isfinite().all())
    np.testing.assert_allclose(found[:3].numpy(), 1 / 50, rtol=1e-6)  # no time to move: learning rate x steps
    np.testing.assert_allclose(
        found[4:].numpy(), [1.0, 1e6], rtol=1e-12
    )  # the run is over there: the inverse itself
    assert bool((found.diff() >= 0).all())
    torch.testing.assert_close(Damped(0.5).inverse(values, 2 * ONE), values + 1.0)


def test_the_run_keeps_coordinates_by_its_own_gain() -> None:
    # Without a block's mean: a weak block's coordinates are hardly moved by the run, whatever their neighbours.
    spectra = {"weak": torch.full((1, 2), 1e-3), "strong": torch.tensor([[5.0, 0.5]])}
    means = {name: spectrum.mean() for name, spectrum in spectra.items()}
    kept = select_coordinates(spectra, means, FiniteRun(1.0), size=2)
    assert (len(kept["weak.kept"]), len(kept["strong.kept"])) == (0, 2)
    damped = select_coordinates(spectra, means, Damped(0.3), size=2)
    assert (len(damped["weak.kept"]), len(damped["strong.kept"])) == (1, 1)


@pytest.mark.parametrize("method", ["kfac", "ekfac"])
def test_scores_of_a_finite_run_equal_the_dense_formula(method: str) -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    chosen = recipe(
        method,
        projection={"size": 1 << 16, "rank": 1 << 10},
        curvature={"filter": "finite_run", "time": 0.5},
    )
    state = fit(chosen, collector.blocks, [gradients], run_time=80.0)
    expected = 0.0
    for name, gradient in gradients.blocks.items():
        left, right = (state[f"{name}.{side}"].double() for side in ("left", "right"))
        rotated = left.T @ gradient.dense() @ right
        values = rotated.square().mean(dim=0)
        if method == "kfac":
            (use,) = gradient.uses
            ls, rs = use.left.dense()[:, 0] @ left, use.right.dense()[:, 0] @ right
            values = torch.outer(ls.square().mean(dim=0), rs.square().mean(dim=0))
        weights = torch.where(
            values > 1e-12, (1 - torch.exp(-40 * values)) / values, torch.tensor(40.0).double()
        )
        expected = expected + torch.einsum("qoi,oi,noi->qn", rotated, weights, rotated)
    featurizer = MemberFeaturizer(chosen, collector.blocks, state)
    phi = featurizer.project(gradients, Side.TRAIN)
    found = featurizer.feature(phi, Side.QUERY) @ featurizer.feature(phi, Side.TRAIN).T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("if_exact", {"curvature": {"labels": "given"}}),
        ("logra", {"projection": {"kind": "identity"}, "curvature": {"blocks": "joint"}}),
        ("logra", {"projection": {"kind": "identity"}}),
    ],
)
def test_a_matrix_that_is_written_out_is_filtered_in_its_eigenbasis(method: str, changes: dict) -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    filtered = {**changes.get("curvature", {}), "filter": "finite_run", "time": 2.0}
    chosen = recipe(method, **{**changes, "curvature": filtered})
    state = fit(chosen, collector.blocks, [gradients], run_time=15.0)
    widths = [block.rows * block.columns for block in collector.blocks]
    joint = getattr(chosen.curvature, "blocks", "joint") == "joint"
    expected = 0.0
    for part in gradients.dense().split([sum(widths)] if joint else widths, dim=1):
        values, vectors = torch.linalg.eigh(part.T @ part / len(part))
        weights = torch.where(
            values > 1e-10, (1 - torch.exp(-30 * values)) / values, torch.tensor(30.0).double()
        )
        expected = expected + (part @ vectors) * weights @ (part @ vectors).T
    featurizer = MemberFeaturizer(chosen, collector.blocks, state)
    phi = featurizer.project(gradients, Side.TRAIN)
    found = featurizer.feature(phi, Side.QUERY) @ featurizer.feature(phi, Side.TRAIN).T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_time_is_given_and_measures_no_point() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    chosen = recipe("ekfac", curvature={"filter": "finite_run"})
    time, *_ = statistics(chosen, collector.blocks, run_time=3.0)
    assert isinstance(time, RunTimeStatistic)
    assert time.sample == 0
    assert time.measure(gradients, {}) == {}
    assert float(time.finish({}, 0, {})[RUN_TIME]) == 3.0
