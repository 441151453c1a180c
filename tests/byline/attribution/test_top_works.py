"""Each owner's strongest rows, against a loop over the owners."""

import numpy as np
import pytest

from byline.attribution.top_works import top_works


@pytest.mark.parametrize(
    ("rows", "owners", "most"), [(400, 7, 5), (400, 390, 3), (50, 1, 5), (3, 5, 2), (0, 3, 5)]
)
def test_the_largest_absolute_scores_of_each_owner_ties_by_row(rows: int, owners: int, most: int) -> None:
    generator = np.random.default_rng(rows + owners)
    scores_R = generator.integers(-4, 5, rows).astype(np.float32)
    owner_R = generator.integers(-1, owners, rows).astype(np.int32)
    found = top_works(scores_R, owner_R, owners, most)
    for owner in range(owners):
        own = [row for row in range(rows) if owner_R[row] == owner]
        expected = sorted(own, key=lambda row: (-abs(float(scores_R[row])), row))[:most]
        chosen = found.of(owner)
        assert found.rows_N[chosen].tolist() == expected
        assert found.scores_N[chosen].tolist() == [float(scores_R[row]) for row in expected]
    assert len(found.rows_N) == found.starts_O[-1] == len(found.scores_N)
