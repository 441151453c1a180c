"""Standard errors and the noise rule against brute force."""

import itertools
import math

import numpy as np
import pytest

from byline.attribution.owner_shares import owner_sums
from byline.attribution.uncertainty import (
    error_scope,
    member_units,
    sample_rows,
    standard_errors,
    stands_out,
    unit_count,
)
from byline.members import Member
from tests.byline.attribution.test_attributor import brute_error
from tests.byline.attribution.test_owner_shares import BOTH, MASKS


class TestUncertainty:
    def test_masks_of_one_checkpoint(self):
        scores = np.random.default_rng(0).standard_normal((5, 4))
        errors = standard_errors(scores, MASKS)
        assert error_scope(MASKS) == "within_checkpoint"
        np.testing.assert_allclose(errors, [brute_error(list(row)) for row in scores], rtol=1e-12)

    def test_several_checkpoints_count_by_their_means(self):
        scores = np.random.default_rng(1).standard_normal((2, 5, 6))
        errors = standard_errors(scores, BOTH)
        assert error_scope(BOTH) == "between_checkpoints"
        for q, i in itertools.product(range(2), range(5)):
            means = [scores[q, i, 2 * c : 2 * c + 2].mean() for c in range(3)]
            assert errors[q, i] == pytest.approx(brute_error(means), rel=1e-12)

    def test_masks_of_an_adapter_count_by_its_mean(self):
        members = tuple(Member(0, mask, adapter) for adapter in range(3) for mask in range(4))
        scores = np.random.default_rng(6).standard_normal((5, 12))
        means = scores.reshape(5, 3, 4).mean(axis=2)
        np.testing.assert_allclose(
            standard_errors(scores, members), [brute_error(list(row)) for row in means], rtol=1e-12
        )
        assert (error_scope(members), unit_count(members)) == ("within_checkpoint", 3)

    def test_units_are_the_outermost_part_that_differs(self):
        several = tuple(Member(c, m, a) for c in (4, 7) for a in range(2) for m in range(2))
        assert member_units(several) == (4, 4, 4, 4, 7, 7, 7, 7)
        assert member_units(several[:4]) == (0, 0, 1, 1)
        assert member_units(several[2:4]) == (0, 1)
        assert [unit_count(several[:n]) for n in (8, 4, 2, 1)] == [2, 2, 2, None]
        weighted = tuple(Member(c, weight=0.5) for c in range(3))
        assert unit_count(weighted) is None
        assert owner_sums(np.ones((2, 3)), weighted).share_error is None

    def test_unequal_units_weigh_as_they_do_in_the_mean(self):
        members = (Member(0, 0), Member(0, 1), Member(0, 2), Member(1, 0))
        scores = np.array([[1.0, 2.0, 3.0, 8.0]])
        expected = math.sqrt(0.75**2 + 0.25**2) * math.sqrt((2 - 5) ** 2 + (8 - 5) ** 2)
        assert standard_errors(scores, members)[0] == pytest.approx(expected, rel=1e-12)

    def test_one_member_knows_nothing(self):
        assert error_scope((Member(0),)) is None
        assert standard_errors(np.ones((3, 1)), (Member(0),)) is None


class TestNoise:
    def test_gaussian_noise_seldom_stands_out_and_a_spike_does(self):
        random = np.random.default_rng(4)
        wrong = 0
        for _ in range(200):
            scores = random.standard_normal(5000)
            wrong += bool(stands_out("proponents", scores.max(), None, scores[sample_rows(5000)], 5000))
        assert wrong < 60
        sample = scores[sample_rows(5000)]
        assert stands_out("proponents", 8.0, None, sample, 5000) is True
        assert stands_out("opponents", -8.0, None, sample, 5000) is True
        assert stands_out("proponents", 8.0, 10.0, sample, 5000) is False
        assert stands_out("opponents", -8.0, 10.0, sample, 5000) is False

    def test_the_best_of_a_filter_on_the_wrong_side_does_not_stand_out(self):
        sample = np.random.default_rng(5).standard_normal(1024)
        assert stands_out("proponents", -8.0, 0.1, sample, 50) is False
        assert stands_out("opponents", 8.0, 0.1, sample, 50) is False
        assert stands_out("proponents", -1.0, 0.1, sample - 20, 50) is False
        assert stands_out("opponents", 1.0, None, sample + 20, 50) is False

    def test_unknown_where_there_is_no_spread(self):
        assert stands_out("proponents", 1.0, None, np.zeros(100), 100) is None
        assert stands_out("proponents", 1.0, None, np.arange(10.0), 10) is None
        assert stands_out("proponents", 1.0, None, np.full(100, np.nan), 100) is None

    def test_the_sample_is_spread_over_all_rows(self):
        assert list(sample_rows(5)) == [0, 1, 2, 3, 4]
        rows = sample_rows(10**7)
        assert (len(rows), rows[0], rows[-1]) == (1024, 0, 10**7 - 1)
