"""The LDS of blends by weight, and the weight that is taken, against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr, zscore

from byline.api.blend import Blend
from byline_indexer.evaluation.blends import WEIGHTS, BlendLds, fitted_blend, lds_by_weight

RANDOM = np.random.default_rng(5)
TRUE = RANDOM.standard_normal((6, 40))
INFLUENCE = (TRUE + RANDOM.standard_normal((6, 40))) * 1e-5
SIMILAR = (TRUE + 2 * RANDOM.standard_normal((6, 40))) * 30
SUBSETS = np.stack([RANDOM.permutation(40) < 20 for _ in range(30)])
OUTPUTS = SUBSETS.astype(float) @ TRUE.T


def by_hand(scores: np.ndarray) -> float:
    return float(np.mean([spearmanr(SUBSETS @ scores[q], OUTPUTS[:, q]).statistic for q in range(6)]))


def test_every_weight_is_scipys() -> None:
    found = lds_by_weight(INFLUENCE, SIMILAR, SUBSETS, OUTPUTS)
    assert [each.weight for each in found] == list(WEIGHTS)
    parts = zscore(INFLUENCE, axis=1), zscore(SIMILAR, axis=1)
    wanted = [by_hand(parts[0] + weight * parts[1]) for weight in WEIGHTS[:-1]]
    assert [each.lds for each in found[:-1]] == pytest.approx(wanted, abs=1e-9)
    assert found[0].lds == pytest.approx(by_hand(INFLUENCE)), (
        "z-scores of one query rank equal subsets as scores do"
    )
    assert found[-1].lds == pytest.approx(by_hand(SIMILAR))


def test_the_fitted_blend_beats_both_of_its_parts() -> None:
    found = lds_by_weight(INFLUENCE, SIMILAR, SUBSETS, OUTPUTS)
    chosen = fitted_blend("bm25", found)
    assert chosen is not None
    best = max(found, key=lambda each: each.lds)
    assert chosen == Blend(baseline="bm25", weight=best.weight)
    assert best.lds > max(found[0].lds, found[-1].lds)


@pytest.mark.parametrize("alone", [0.0, float("inf")])
def test_a_part_that_is_as_good_alone_needs_no_blend(alone: float) -> None:
    found = [BlendLds(weight, 0.5 if weight == alone else 0.4) for weight in WEIGHTS]
    assert fitted_blend("bm25", found) is None


def test_of_equal_weights_the_smallest_is_taken() -> None:
    found = [BlendLds(weight, 0.5 if 0.25 <= weight <= 1 else 0.4) for weight in WEIGHTS]
    assert fitted_blend("representation", found) == Blend(baseline="representation", weight=0.25)


def test_queries_whose_truth_does_not_vary_are_dropped() -> None:
    outputs = OUTPUTS.copy()
    outputs[:, 2] = 1.0
    (found,) = lds_by_weight(INFLUENCE, SIMILAR, SUBSETS, outputs, [0.0])
    wanted = [spearmanr(SUBSETS @ INFLUENCE[q], outputs[:, q]).statistic for q in (0, 1, 3, 4, 5)]
    assert found.lds == pytest.approx(np.mean(wanted))
