"""Quantiles against scipy, and simulations of how often the intervals that answers show hold the truth.

Letters: N simulated scores, O owners, M members.
"""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.stats import t as students_t

from byline.attribution.owner_shares import owner_sums
from byline.attribution.uncertainty import standard_errors, unit_count
from byline.members import Member
from byline.metrics.intervals import half_width, interval_around, student_quantile

CHECKPOINTS = {count: tuple(Member(c) for c in range(count)) for count in (2, 3, 4, 8)}
ADAPTERS = tuple(Member(0, mask, adapter) for adapter in range(3) for mask in range(5))
NESTED = tuple(Member(c, m, a) for c in range(3) for a in range(2) for m in range(2))
MASKS = tuple(Member(0, mask) for mask in range(6))
UNEVEN = tuple(Member(c, m) for c, masks in enumerate((1, 2, 3, 6)) for m in range(masks))
ENSEMBLES = [*CHECKPOINTS.values(), ADAPTERS, NESTED, MASKS, UNEVEN]
LEAST = 0.93


def named(members):
    return f"{members[0].name}..{members[-1].name}"


@pytest.mark.parametrize("probability", ["0.5", "0.75", "0.95", "0.975", "0.999", "0.9995"])
def test_quantiles_are_scipys(probability):
    for freedom in (*range(1, 201), 1023):
        expected = students_t.ppf(float(probability), freedom)
        assert float(student_quantile(Decimal(probability), freedom)) == pytest.approx(expected, rel=1e-11)


def test_digits_do_not_depend_on_the_callers_arithmetic():
    with localcontext(prec=5):
        again = student_quantile.__wrapped__(Decimal("0.95"), 3)
    assert again == student_quantile(Decimal("0.95"), 3)
    assert str(again).startswith("2.353363434801823877671223978")


def test_what_has_no_quantile_is_refused():
    for probability, freedom in (("0.95", 0), ("1", 3), ("0.4", 3)):
        with pytest.raises(ValueError, match="probability in"):
            student_quantile(Decimal(probability), freedom)


def test_intervals_reach_as_far_to_both_sides():
    assert half_width(2.0, 4) == pytest.approx(2 * 3.182446305)
    assert half_width(2.0, 4, Decimal("0.5")) == pytest.approx(2 * 0.764892328)
    assert interval_around(1.0, 2.0, 4) == pytest.approx((1 - 6.36489261, 1 + 6.36489261))


def draws(rng, members, shape, deviation=1.0):
    """Noise by member: of the checkpoint, of the adapter on it, and of the mask alone."""
    noise = np.zeros((*shape, len(members)))
    several = {
        "checkpoint": len({m.checkpoint for m in members}) > 1,
        "adapter": len({m.adapter for m in members}) > 1,
    }
    for part, size in (("checkpoint", 1.0), ("adapter", 0.8)):
        if several[part]:
            names = [(m.checkpoint, m.adapter if part == "adapter" else None) for m in members]
            own = {name: size * rng.normal(size=shape) for name in dict.fromkeys(names)}
            noise += np.stack([own[name] for name in names], axis=-1)
    if len(set(members)) > len({(m.checkpoint, m.adapter) for m in members}):
        noise += 0.5 * rng.normal(size=noise.shape)
    return noise * deviation


@pytest.mark.parametrize("members", ENSEMBLES, ids=named)
def test_intervals_of_scores_hold_the_truth_as_often_as_they_say(members):
    rng = np.random.default_rng(0)
    scores_NM = 3.0 + draws(rng, members, (20_000,))
    errors_N = standard_errors(scores_NM, members)
    reach_N = errors_N * half_width(1.0, unit_count(members))
    found = float((np.abs(scores_NM.mean(axis=1) - 3.0) <= reach_N).mean())
    assert LEAST <= found <= 0.97
    true = scores_NM.mean(axis=1).std()
    assert np.sqrt((errors_N**2).mean()) == pytest.approx(true, rel=0.1 if members is UNEVEN else 0.03)


@pytest.mark.parametrize("members", [*CHECKPOINTS.values(), ADAPTERS], ids=named)
def test_intervals_of_shares_hold_the_truth_as_often_as_they_say(members):
    rng = np.random.default_rng(1)
    truth_O = np.array([5.0, 3.0, 1.0, 0.2, -2.0])
    true_O = np.maximum(truth_O, 0) / np.maximum(truth_O, 0).sum()
    held = []
    for noise_OM in draws(rng, members, (1_000, 5), deviation=1.5):
        found = owner_sums(truth_O[:, None] + noise_OM, members)
        if found.share_interval is not None:
            low_O, high_O = found.share_interval.T
            held.append((low_O - 1e-12 <= true_O) & (true_O <= high_O + 1e-12))
    assert np.mean(held) >= LEAST
    assert np.mean(held, axis=0).min() >= LEAST - 0.02  # one owner: 1,000 draws are known to .007
