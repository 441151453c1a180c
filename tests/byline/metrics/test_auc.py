"""AUC against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from byline.metrics import auc, auc_interval


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_area_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    wrong = rng.random(200) < 0.1
    values = rng.integers(0, levels, 200) + wrong * levels / 4
    assert auc(values, wrong) == pytest.approx(roc_auc_score(wrong, values))


def test_the_interval_holds_the_area_and_is_wider_for_fewer_rows() -> None:
    rng = np.random.default_rng(0)
    wrong = np.arange(400) % 10 == 0
    values = rng.normal(size=400) + wrong
    whole, part = auc_interval(values, wrong, draws=200), auc_interval(values[:100], wrong[:100], draws=200)
    assert whole.low < auc(values, wrong) < whole.high
    assert part.high - part.low > whole.high - whole.low
