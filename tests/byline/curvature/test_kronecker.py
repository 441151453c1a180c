"""Curvature equals the float64 formula, and does not notice padding, batches or truncation bounds."""

import numpy as np
import pytest
import torch

from byline.curvature.filters import Damped
from byline.curvature.fisher import Fisher
from byline.curvature.kronecker import Ekfac, Kfac, is_vocabulary, select_coordinates
from byline.features.featurizer import MemberFeaturizer, Side, statistics
from byline.features.fitting import fit
from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, DenseFactor, KroneckerGradient, Use
from byline.recipes import Recipe, recipe
from byline.types import State
from tests.reference import models, reference

EXACT_ENOUGH = {"rtol": 2e-5, "atol": 1e-9}


def collected(case: models.Case) -> tuple[GradientCollector, BatchGradients]:
    collector = build_collector(case.model, case.loss, case.sample)
    return collector, collector.collect(case.loss, case.batch, case.count)


def scores(
    chosen: Recipe, collector: GradientCollector, gradients: BatchGradients, state: State
) -> np.ndarray:
    featurizer = MemberFeaturizer(chosen, collector.blocks, state)
    phi = featurizer.project(gradients, Side.TRAIN)
    return (featurizer.feature(phi, Side.QUERY) @ featurizer.feature(phi, Side.TRAIN).T).numpy()


@pytest.mark.parametrize("case_name", ["mlp", "transformer"])
@pytest.mark.parametrize("blocks", ["joint", "layer"])
def test_fisher_equals_the_linear_system(case_name: str, blocks: str) -> None:
    case = models.CASES[case_name]()
    collector, gradients = collected(case)
    chosen = recipe(
        "logra",
        projection={"size_in": 3, "size_out": 2},
        curvature={"blocks": blocks, "damping": 0.5},
    )
    phi = chosen.projection.projector(collector.blocks, {})(gradients).numpy()
    widths = list(chosen.projection.projector(collector.blocks, {}).widths.values())
    expected = reference.fisher_scores(phi, phi, 0.5, widths if blocks == "layer" else [sum(widths)])
    found = scores(chosen, collector, gradients, fit(chosen, collector.blocks, [gradients]))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5 * np.abs(expected).max())


def test_one_sided_equals_two_sided_without_unit_norm() -> None:
    collector, gradients = collected(models.mlp())
    two = recipe("logra")
    one = recipe("logra", sides="one_sided")
    state = fit(two, collector.blocks, [gradients])
    np.testing.assert_allclose(
        scores(one, collector, gradients, state),
        scores(two, collector, gradients, state),
        rtol=1e-5,
        atol=1e-6,
    )


def kronecker_factors(
    case: models.Case, gradients: BatchGradients
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Second moments by a loop over examples and positions."""
    factors = {}
    for name, gradient in gradients.blocks.items():
        left, right, positions = 0.0, 0.0, 0
        for use in gradient.uses:
            for n in range(case.count):
                for b, a in zip(use.left.dense()[n].numpy(), use.right.dense()[n].numpy(), strict=True):
                    if np.any(b) and np.any(a):
                        left, right, positions = (
                            left + np.outer(b, b),
                            right + np.outer(a, a),
                            positions + 1,
                        )
        factors[name] = (left / case.count, right / positions)
    return factors


@pytest.mark.parametrize("method", ["kfac", "ekfac"])
@pytest.mark.parametrize("case_name", ["mlp", "convnet", "transformer"])
def test_kronecker_equals_the_dense_formula(case_name: str, method: str) -> None:
    case = models.CASES[case_name]()
    collector, gradients = collected(case)
    chosen = recipe(method, projection={"size": 1 << 16, "rank": 1 << 10})
    matrices = {name: g.dense().numpy() for name, g in gradients.blocks.items()}
    expected = reference.ekfac_scores(
        matrices, matrices, kronecker_factors(case, gradients), 0.3, corrected=method == "ekfac"
    )
    found = scores(chosen, collector, gradients, fit(chosen, collector.blocks, [gradients]))
    # Eigenvectors are stored in float32.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("curvature", [Kfac(), Ekfac(), Fisher()])
def test_batches_add_up(curvature: Kfac | Ekfac | Fisher) -> None:
    case = models.transformer()
    collector, whole = collected(case)
    name = {"fisher": "logra"}.get(curvature.kind, curvature.kind)
    chosen = recipe(name, curvature=curvature.model_dump())
    parts = [collector.collect(case.loss, case.some(rows), len(rows)) for rows in ([0, 1], [2], [3, 4, 5])]
    np.testing.assert_allclose(
        scores(chosen, collector, whole, fit(chosen, collector.blocks, parts)),
        scores(chosen, collector, whole, fit(chosen, collector.blocks, [whole])),
        rtol=1e-4,
        atol=1e-6,
    )


def test_padding_changes_no_factor() -> None:
    case = models.transformer()

    def loss(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        logits = model(tokens)
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
        )
        return (losses * (torch.arange(tokens.shape[1] - 1) < 2)).sum(dim=1)

    # Nothing after the sixth token takes part: two more places are padding. (The convolutions look one ahead.)
    collector = build_collector(case.model, loss, case.sample)
    short = collector.collect(loss, case.batch[:, :5], case.count)
    long = collector.collect(loss, case.batch, case.count)
    statistic = statistics(recipe("ekfac"), collector.blocks)[0]
    one, other = statistic.measure(short, {}), statistic.measure(long, {})
    for name, value in one.items():
        torch.testing.assert_close(other[name], value)


def test_a_wide_side_keeps_its_most_active_coordinates() -> None:
    case = models.transformer()
    collector, gradients = collected(case)
    chosen = recipe("ekfac", projection={"coordinates": 4}, curvature={"dense_up_to": 10})
    state = fit(chosen, collector.blocks, [gradients])
    assert state["tokens.weight.left"].dtype == torch.int64
    kept = state["tokens.weight.left"].tolist()
    moment = kronecker_factors(case, gradients)["tokens.weight"][0].diagonal()
    assert set(kept) == set(np.argsort(-moment)[:4].tolist())
    assert np.isfinite(scores(chosen, collector, gradients, state)).all()


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("wte.weight", (2000, 96), True),
        ("lm_head.weight", (50257, 768), True),
        ("up.weight", (3072, 768), False),
        ("head.weight", (10, 784), False),
        ("ln.weight", (4096, 1), False),
        ("q.lora_B.weight", (4096, 64), False),
        ("embedding.weight", (2, 768), False),
    ],
)
def test_vocabularies_are_tall_and_no_adapters(name: str, shape: tuple[int, int], expected: bool) -> None:
    assert is_vocabulary(Block(name=name, parameters=(name,), shapes=(shape,), form="matrix")) is expected


def test_a_vocabulary_keeps_its_tokens_and_the_dense_side_its_eigenvectors() -> None:
    block = Block(name="wte", parameters=("wte",), shapes=((256, 32),), form="matrix")
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(6, 3, n, generator=generator) for n in (256, 32))
    gradient = KroneckerGradient([Use(DenseFactor(left), DenseFactor(right))])
    state = fit(recipe("ekfac"), [block], [BatchGradients(torch.zeros(6), {"wte": gradient})])
    assert sorted(state["wte.left"].tolist()) == list(range(256))
    assert state["wte.right"].shape == (32, 32)


def test_the_mean_eigenvalue_counts_what_the_rank_leaves_out() -> None:
    case = models.transformer()
    collector, gradients = collected(case)
    state = fit(recipe("ekfac", projection={"rank": 3}), collector.blocks, [gradients])
    for name, gradient in gradients.blocks.items():
        torch.testing.assert_close(state[f"{name}.mean"], gradient.dense().square().mean())


def test_truncation_keeps_the_largest_and_breaks_ties_by_position() -> None:
    spectra = {"a": torch.tensor([[4.0, 1.0], [1.0, 0.0]]), "b": torch.tensor([[2.0]])}
    means = {"a": torch.tensor(1.5), "b": torch.tensor(2.0)}
    state = select_coordinates(spectra, means, Damped(1.0), size=3)
    # Gains: a 4/5.5, 1/2.5, 1/2.5, 0; b 2/4. The first of the tied ones is kept.
    assert state["a.kept"].tolist() == [0, 1]
    assert state["b.kept"].tolist() == [0]


def test_a_block_without_gradient_is_harmless() -> None:
    spectra = {"a": torch.zeros(2, 2), "b": torch.ones(1, 1)}
    state = select_coordinates(spectra, {"a": torch.tensor(0.0), "b": torch.tensor(1.0)}, Damped(0.1), size=2)
    assert all(v.isfinite().all() for v in state.values())


def test_unit_norm_comes_after_preconditioning() -> None:
    collector, gradients = collected(models.mlp())
    chosen = recipe("ekfac", unit_norm=True)
    state = fit(chosen, collector.blocks, [gradients])
    found = scores(chosen, collector, gradients, state)
    plain = scores(recipe("ekfac"), collector, gradients, state)
    lengths = np.sqrt(plain.diagonal())
    np.testing.assert_allclose(found, plain / np.outer(lengths, lengths), rtol=1e-5, atol=1e-6)
