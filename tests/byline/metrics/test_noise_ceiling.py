"""The noise ceiling: the agreement that the expected outputs reach."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from byline.metrics import (
    agreement,
    noise_ceiling,
)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_the_ceiling_is_what_the_expected_outputs_reach(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    signal = rng.normal(size=(300, 30))
    outputs = signal + 1.5 * rng.normal(size=(seeds, 300, 30))
    found = noise_ceiling(outputs)
    assert found is not None
    reached = np.nanmean(agreement(signal, outputs.mean(axis=0)))
    assert found.ceiling == pytest.approx(reached, abs=0.02)
    assert found.halves < found.ceiling


def test_two_seeds_halves_are_their_correlation(rng: np.random.Generator) -> None:
    outputs = rng.normal(size=(2, 20, 4)) + rng.normal(size=(20, 4))
    found = noise_ceiling(outputs)
    assert found is not None
    r = np.mean([spearmanr(outputs[0, :, q], outputs[1, :, q]).statistic for q in range(4)])
    assert found.halves == pytest.approx(r)
    assert found.ceiling == pytest.approx(np.sqrt(2 * r / (1 + r)))


def test_one_seed_has_no_ceiling_and_pure_noise_a_low_one(rng: np.random.Generator) -> None:
    assert noise_ceiling(rng.normal(size=(1, 20, 4))) is None
    assert noise_ceiling(np.ones((2, 20, 4))) is None
    opposite = rng.normal(size=(1, 20, 4)) * np.array([1.0, -1.0])[:, None, None]
    found = noise_ceiling(opposite)
    assert found is not None
    assert found.ceiling == 0.0
