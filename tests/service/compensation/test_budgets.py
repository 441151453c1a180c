"""Budgets of periods: the sums of posted runs, and the checks before a draft, an approval and a posting."""

import pytest

from byline.errors import InvalidInput
from byline_service.compensation.budgets import (
    OPEN_DRAFTS,
    PeriodRun,
    Spending,
    ceiling,
    require_few_drafts,
    require_finished,
    require_same_terms,
    require_unpaid,
    spending,
)
from byline_service.compensation.calendar import period_named
from byline_service.compensation.runs import RunConflict
from tests.service.compensation.reference import policy


def run(name, posted, pool=10, taken_back=None, kind="allocation", period="2026-03"):
    return PeriodRun(
        run=name, kind=kind, period=period, revision=posted, pool=pool, posted=posted, reversed=taken_back
    )


RUNS = [
    run("first", 3, taken_back=7),
    run("second", 9, pool=6),
    run("more", 11, pool=3, kind="adjustment"),
    run("april", 12, pool=100, period="2026-04"),
]


@pytest.mark.parametrize(
    ("basis", "spent"),
    [
        (2, Spending(0, None)),
        (3, Spending(10, 3)),
        (6, Spending(10, 3)),
        (7, Spending(0, None)),
        (9, Spending(6, 9)),
        (99, Spending(9, 9)),
    ],
)
def test_what_is_spent_after_each_record(basis, spent):
    assert spending(RUNS, "2026-03", basis) == spent


def test_an_adjustment_alone_pays_no_period():
    """Its run was reversed: the period can be drafted again, and the adjustment counts."""
    runs = [run("first", 3, taken_back=7), run("more", 5, pool=4, kind="adjustment")]
    assert spending(runs, "2026-03", 9) == Spending(4, None)


def test_the_budget_of_a_paid_period_is_never_raised():
    small, large = policy(pool=5), policy(pool=7)
    assert [ceiling(large, None), ceiling(large, small), ceiling(small, large)] == [7, 5, 5]


def test_a_period_is_paid_once_and_adjusted_afterwards():
    for kind, found in (("allocation", Spending(0, 1)), ("adjustment", Spending(5, None))):
        with pytest.raises(RunConflict, match="expected a period"):
            require_unpaid(kind, found)
    require_unpaid("allocation", Spending(5, None))
    require_unpaid("adjustment", Spending(5, 1))


def test_a_period_ends_with_its_last_moment():
    march = period_named("month", "2026-03")
    require_finished(march, "2026-04-01T00:00:00.000000Z")
    with pytest.raises(InvalidInput, match="2026-04-01"):
        require_finished(march, "2026-03-31T23:59:59.999999Z")


def test_terms_that_stay():
    require_same_terms(policy(), policy(pool=1, floor=3, largest_weight=7))
    for change in ({"currency": "JPY"}, {"period": "day"}, {"group": "other"}):
        with pytest.raises(RunConflict, match=next(iter(change))):
            require_same_terms(policy(), policy(**change))


def test_open_drafts():
    require_few_drafts(OPEN_DRAFTS - 1)
    with pytest.raises(RunConflict, match="void one"):
        require_few_drafts(OPEN_DRAFTS)
