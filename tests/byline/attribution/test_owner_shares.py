"""Owners' shares and their errors against brute force."""

import numpy as np
import pytest

from byline.attribution.owner_shares import owner_sums
from byline.members import Member
from tests.byline.attribution.test_attributor import brute_shares

MASKS = tuple(Member(0, seed) for seed in range(4))


BOTH = tuple(Member(checkpoint, seed) for checkpoint in range(3) for seed in range(2))


class TestOwnerShares:
    def test_formula_and_clipped_mass(self):
        by_member = np.array([[1.0, 3.0, 2.0, 2.0], [-4.0, 0.0, -1.0, -3.0], [6.0, 5.0, 7.0, 6.0]])
        found = owner_sums(by_member, MASKS)
        np.testing.assert_allclose(found.score, [2, -2, 6])
        np.testing.assert_allclose(found.share, brute_shares([2, -2, 6]))
        assert (found.positive, found.clipped) == (8.0, 2.0)

    def test_errors_are_the_delete_one_jackknife(self):
        by_member = np.random.default_rng(2).standard_normal((5, 6)) + 0.5
        found = owner_sums(by_member, BOTH)
        units = by_member.reshape(5, 3, 2).mean(axis=2)
        without = np.array([brute_shares(np.delete(units, u, axis=1).mean(axis=1)) for u in range(3)])
        expected = np.sqrt(2 / 3 * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
        np.testing.assert_allclose(found.share_error, expected, rtol=1e-12)

    def test_small_spreads_give_the_delta_method(self):
        random = np.random.default_rng(3)
        score = np.array([4.0, 1.0, 7.0, -3.0])
        by_member = score[:, None] + 1e-5 * random.standard_normal((4, 4))
        found = owner_sums(by_member, MASKS)
        positive = found.score > 0
        total = found.score[positive].sum()
        share = np.where(positive, found.score, 0) / total
        moved = np.where(positive[:, None], by_member, 0) - share[:, None] * by_member[positive].sum(axis=0)
        delta = moved.std(axis=1, ddof=1) / 2 / total
        np.testing.assert_allclose(found.share_error, delta, rtol=1e-3, atol=1e-12)

    def test_splitting_an_owner_of_one_sign_changes_nothing(self):
        joined = owner_sums(np.array([[5.0] * 4, [3.0] * 4, [-2.0] * 4]), MASKS)
        split = owner_sums(np.array([[4.0] * 4, [1.0] * 4, [3.0] * 4, [-2.0] * 4]), MASKS)
        np.testing.assert_allclose(split.share[0] + split.share[1], joined.share[0])
        np.testing.assert_allclose(split.share[2], joined.share[1])

    def test_with_mixed_signs_splitting_gains_as_documented(self):
        joined = owner_sums(np.array([[2.0] * 4, [4.0] * 4]), MASKS)
        split = owner_sums(np.array([[5.0] * 4, [-3.0] * 4, [4.0] * 4]), MASKS)
        assert joined.share[0] == pytest.approx(1 / 3)
        assert split.share[0] == pytest.approx(5 / 9)
        assert split.clipped == 3.0

    def test_nobody_positive_means_no_shares(self):
        found = owner_sums(np.array([[-1.0] * 4, [0.0] * 4]), MASKS)
        assert found.share is None
        assert found.share_error is None

    def test_one_member_gives_shares_without_errors(self):
        found = owner_sums(np.array([[1.0], [3.0]]), (Member(0),))
        np.testing.assert_allclose(found.share, [0.25, 0.75])
        assert found.score_error is None
        assert found.share_error is None
