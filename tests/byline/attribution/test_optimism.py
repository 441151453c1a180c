"""By how much the best scores are too high: against the truth of a simulation, and in cases that are clear.

Letters: R rows, M members, C candidates, k examples.
"""

import numpy as np
import pytest

from byline.attribution.optimism import candidate_count, optimism
from byline.attribution.uncertainty import standard_errors, unit_count
from byline.members import Member
from byline.metrics.intervals import half_width

FOUR = tuple(Member(checkpoint) for checkpoint in range(4))
ADAPTERS = tuple(Member(0, mask, adapter) for adapter in range(3) for mask in range(5))


def queries(members, tails, count=150, rows=1_000):
    """Simulate scores with noise of .7, most of it shared by the masks of one adapter.

    Yields:
        For each query the true scores [R] and the members' [R, M].
    """
    rng = np.random.default_rng(2)
    for _ in range(count):
        true_R = rng.normal(size=rows) if tails == "normal" else rng.standard_t(3, size=rows)
        units = sorted({(m.checkpoint, m.adapter) for m in members}, key=str)
        own = 0.6 * rng.normal(size=(rows, len(units)))
        columns = [units.index((m.checkpoint, m.adapter)) for m in members]
        alone = 0.36 * rng.normal(size=(rows, len(members)))
        yield true_R, true_R[:, None] + own[:, columns] + alone


def listed(end, by_member_RM, members, k):
    """Rows that an answer lists, and their optimism."""
    sign = 1 if end == "proponents" else -1
    order = np.argsort(-sign * by_member_RM.mean(axis=1))
    return order[:k], optimism(end, by_member_RM[order[: candidate_count(k)]], members, k)


@pytest.mark.parametrize("end", ["proponents", "opponents"])
@pytest.mark.parametrize("tails", ["normal", "heavy"])
@pytest.mark.parametrize("members", [FOUR, ADAPTERS], ids=["4 checkpoints", "3 adapters x 5 masks"])
def test_what_is_taken_off_is_what_the_best_scores_are_too_high_by(members, tails, end):
    shown, less, true = [], [], []
    for true_R, by_member_RM in queries(members, tails):
        rows_k, luck = listed(end, by_member_RM, members, 10)
        score = by_member_RM[rows_k].mean()
        shown.append(score)
        less.append(score * (1 - luck))
        true.append(true_R[rows_k].mean())
    raw, left = np.mean(shown) / np.mean(true) - 1, np.mean(less) / np.mean(true) - 1
    assert raw > (0.09 if tails == "normal" else 0.008)
    assert abs(left) < min(0.02, raw / 2)


@pytest.mark.parametrize("members", [FOUR, ADAPTERS], ids=["4 checkpoints", "3 adapters x 5 masks"])
def test_intervals_of_the_best_hold_the_truth_as_often_as_they_say(members):
    held = []
    for true_R, by_member_RM in queries(members, "normal", count=250):
        rows_k, luck = listed("proponents", by_member_RM, members, 10)
        reach_k = standard_errors(by_member_RM[rows_k], members) * half_width(1.0, unit_count(members))
        middle_k = by_member_RM[rows_k].mean(axis=1) * (1 - luck)
        held.append(np.abs(middle_k - true_R[rows_k]) <= reach_k)
    assert np.mean(held) >= 0.93


def test_nothing_is_taken_off_where_nothing_was_picked_or_members_agree():
    rng = np.random.default_rng(3)
    assert optimism("proponents", 1 + rng.random((8, 4)), FOUR, 8) == pytest.approx(0, abs=1e-12)
    agreed = np.repeat(rng.random((36, 1)), 4, axis=1)
    assert optimism("proponents", agreed, FOUR, 10) == pytest.approx(0, abs=1e-12)


def test_unknown_where_there_is_nothing_to_leave_out():
    scores = 1 + np.random.default_rng(4).random((36, 4))
    assert optimism("proponents", scores[:, :1], FOUR, 10) is None
    assert optimism("proponents", scores[:, :1], FOUR[:1], 10) is None
    assert optimism("proponents", scores[:0], FOUR, 10) is None
    assert optimism("opponents", scores, FOUR, 10) is None
    weighted = tuple(Member(c, weight=1.0 + c) for c in range(4))
    assert optimism("proponents", scores, weighted, 10) is None
