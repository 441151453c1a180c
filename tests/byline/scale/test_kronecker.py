"""Kronecker curvature of scaled gradients equals the float64 formula of the scaled gradients that are written out."""

import numpy as np
import pytest
import torch

from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.features.fitting import fit
from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient
from byline.recipes import Recipe, recipe
from byline.scale.kronecker import multiply_moment
from byline.scale.moments import SECOND
from byline.types import State
from tests.reference import models, reference

FLOOR = 0.05


def scaled_recipe(method: str, *, factored: bool, power: float, **changes: object) -> Recipe:
    scale = {"kind": "second_moment", "factored": factored, "floor": FLOOR, "power": power}
    return recipe(method, scale=scale, projection={"size": 1 << 16, "rank": 1 << 10}, **changes)


def rank_one(second: np.ndarray) -> np.ndarray:
    mean = second.mean()
    row, column = second.mean(axis=1) / mean + FLOOR, second.mean(axis=0) / mean + FLOOR
    return np.outer(row, column) * mean


def dense_factors(gradient: KroneckerGradient, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of outer products whose sides are scaled by a matrix of rank one, position by position."""
    left_O, right_I = scale[:, 0], scale[0] / scale[0, 0]
    left, right, positions = 0.0, 0.0, 0
    for use in gradient.uses:
        for n in range(use.active().shape[0]):
            for b, a in zip(use.left.dense()[n].numpy(), use.right.dense()[n].numpy(), strict=True):
                if np.any(b) and np.any(a):
                    left, right = (
                        left + np.outer(b * left_O, b * left_O),
                        right + np.outer(a * right_I, a * right_I),
                    )
                    positions += 1
    return left / use.active().shape[0], right / positions


def scores(chosen: Recipe, blocks: tuple, gradients: BatchGradients, state: State) -> np.ndarray:
    featurizer = MemberFeaturizer(chosen, blocks, state)
    on_query, on_train = (featurizer.project(gradients, side) for side in (Side.QUERY, Side.TRAIN))
    return (featurizer.feature(on_query, Side.QUERY) @ featurizer.feature(on_train, Side.TRAIN).T).numpy()


def scaled_matrices(gradients: BatchGradients, chosen: Recipe) -> dict[str, np.ndarray]:
    """Gradients written out and scaled entry by entry."""
    made = {}
    for name, gradient in gradients.blocks.items():
        second = gradient.dense().square().mean(dim=0).numpy()
        divisor = rank_one(second) if chosen.scale.factored else second + FLOOR * second.mean()
        made[name] = gradient.dense().numpy() * divisor**-chosen.scale.power
    return made


@pytest.mark.parametrize("power", [0.5, 0.25])
@pytest.mark.parametrize("method", ["kfac", "ekfac"])
@pytest.mark.parametrize("case_name", ["mlp", "convnet", "transformer"])
def test_curvature_is_of_scaled_gradients(case_name: str, method: str, power: float) -> None:
    case = models.CASES[case_name]()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    chosen = scaled_recipe(method, factored=True, power=power)
    matrices, factors = scaled_matrices(gradients, chosen), {}
    for name, gradient in gradients.blocks.items():
        second = gradient.dense().square().mean(dim=0).numpy()
        factors[name] = dense_factors(gradient, rank_one(second) ** -power)
    expected = reference.ekfac_scores(matrices, matrices, factors, 0.3, corrected=method == "ekfac")
    found = scores(chosen, collector.blocks, gradients, fit(chosen, collector.blocks, [gradients]))
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("power", [0.5, 0.25])
@pytest.mark.parametrize("case_name", ["mlp", "convnet", "transformer"])
def test_an_entrywise_scale_is_exact_in_the_basis_of_its_rank_one_form(case_name: str, power: float) -> None:
    case = models.CASES[case_name]()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    chosen = scaled_recipe("ekfac", factored=False, power=power)
    state, expected = fit(chosen, collector.blocks, [gradients]), 0.0
    for name, matrices in scaled_matrices(gradients, chosen).items():
        # The few examples leave null spaces, whose basis is anybody's: gradients that are no outer products reach them.
        left, right = (state[f"{name}.{side}"].double().numpy() for side in ("left", "right"))
        second = gradients.blocks[name].dense().square().mean(dim=0).numpy()
        factors = dense_factors(gradients.blocks[name], rank_one(second) ** -power)
        for vectors, factor in ((left, factors[0]), (right, factors[1])):
            rotated = vectors.T @ factor @ vectors
            np.testing.assert_allclose(rotated, np.diag(rotated.diagonal()), atol=1e-5 * rotated.max())
        rotated = left.T @ matrices @ right
        values = (rotated**2).mean(axis=0)
        expected = expected + np.einsum(
            "qoi,oi,noi->qn", rotated, 1 / (values + 0.3 * values.mean()), rotated
        )
    found = scores(chosen, collector.blocks, gradients, state)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


def test_a_given_second_moment_takes_no_pass_and_is_used() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    torch.manual_seed(0)
    given = {f"{b.name}.{SECOND}": torch.rand(b.rows, b.columns) ** 3 for b in collector.blocks}
    chosen = scaled_recipe("ekfac", factored=False, power=0.25, curvature={"sample": None})
    state: State = {}
    passes = []
    for statistic in statistics(chosen, collector.blocks, given):
        sums = {} if statistic.sample == 0 else statistic.measure(gradients, state)
        passes.append(statistic.sample)
        state |= statistic.finish(sums, case.count, state)
    assert passes == [0, None, None]
    for block in collector.blocks:
        second = given[f"{block.name}.{SECOND}"].double()
        scaled = gradients.blocks[block.name].dense() * (second + FLOOR * second.mean()) ** -0.25
        torch.testing.assert_close(state[f"{block.name}.mean"], scaled.square().mean(), rtol=1e-5, atol=1e-12)


def test_curvature_by_labels_and_samples_keeps_its_options() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    chosen = scaled_recipe("ekfac", factored=True, power=0.5, curvature={"sample": 7, "labels": "sampled"})
    scale, *curvature = statistics(chosen, collector.blocks)
    plain = statistics(recipe("ekfac", curvature={"sample": 7, "labels": "sampled"}), collector.blocks)
    facts = [(s.name, s.source, s.sample, s.labels, s.needed(7), s.needed(8)) for s in curvature]
    assert facts == [(s.name, s.source, s.sample, s.labels, s.needed(7), s.needed(8)) for s in plain]
    assert (scale.sample, scale.labels) == (None, "given")


def test_moments_of_multiplied_vectors() -> None:
    torch.manual_seed(0)
    vectors, factor = torch.randn(9, 4, dtype=torch.float64), torch.rand(4)
    made = vectors * factor.double()
    torch.testing.assert_close(multiply_moment(vectors.T @ vectors, factor), made.T @ made)
    diagonal = multiply_moment(vectors.square().sum(dim=0), factor)
    torch.testing.assert_close(diagonal, made.square().sum(dim=0))
