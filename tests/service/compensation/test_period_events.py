"""The events that a draft looks at: of its period, late, of earlier unpaid periods, or paid for elsewhere."""

import pytest

from byline_service.compensation import drafting
from byline_service.compensation.budgets import PeriodRun
from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import late_within
from byline_service.compensation.period_events import BookedEvent, Claim, Claims, Search, period_events
from tests.service.compensation.reference import policy


def booked(name, sequence, month, index="digits"):
    at = f"2026-{month:02}-10T00:00:00.000000Z"
    return BookedEvent(name, sequence, at, index, "v", None, 1, 12)


EVENTS = [
    booked("january", 1, 1),
    booked("february", 2, 2),
    booked("february paid", 3, 2),
    booked("march", 4, 3),
    booked("march elsewhere", 5, 3),
    booked("march of another index", 6, 3, "others"),
    booked("april", 7, 4),
    booked("after the basis", 40, 3),
]
FEBRUARY = PeriodRun(
    run="run", kind="allocation", period="2026-02", revision=1, pool=1, posted=20, reversed=30
)


def claims():
    found = Claims()
    found.add("default", "february paid", Claim(20, "run", "royalties"))
    found.add("default", "march elsewhere", Claim(21, "other run", "other"))
    return found


def search(basis=25, kind="allocation", month="2026-03"):
    chosen = policy(indexes=("digits",))
    return Search(policy=chosen, kind=kind, period=period_named("month", month), basis=basis)


def ids(events):
    return [event.id for event in events]


def test_each_event_has_its_place():
    found = period_events(search(), EVENTS, claims(), [FEBRUARY])
    assert ids(found.own) == ["march"]
    assert ids(found.late) == ["february"]
    assert (found.earlier, found.late_waiting, found.elsewhere) == (1, 0, {"other": 1})


def test_before_the_run_was_posted_and_after_it_was_reversed_nothing_is_late():
    for basis in (19, 30):
        found = period_events(search(basis), EVENTS, claims(), [FEBRUARY])
        assert (ids(found.late), found.earlier) == ([], 3 if basis == 19 else 2)


def test_an_adjustment_looks_at_its_period_alone():
    found = period_events(search(kind="adjustment", month="2026-02"), EVENTS, claims(), [FEBRUARY])
    assert (ids(found.own), ids(found.late), found.earlier) == (["february"], [], 0)


def test_claims_pay_and_reverse_in_turn():
    found = claims()
    found.add("default", "february paid", Claim(30, "reversal", "royalties"))
    found.add("default", "february paid", Claim(35, "again", "other"))
    found.add("bonus", "february paid", Claim(22, "bonus run", "bonus"))
    payers = [found.payer("default", "february paid", basis) for basis in (19, 20, 29, 30, 34, 35)]
    assert payers == [None, "royalties", "royalties", None, None, "other"]
    assert found.other_payers("default", "february paid", 40) == ["bonus"]
    assert found.other_payers("bonus", "february paid", 30) == []


@pytest.mark.parametrize(
    ("own", "late", "fitting"),
    [([], [], 0), ([4], [3, 3], 2), ([4], [3, 4], 1), ([10], [1], 0), ([1, 1], [1, 1, 1], 1)],
)
def test_late_events_fit_beside_a_runs_own(monkeypatch, own, late, fitting):
    monkeypatch.setattr(drafting, "MOST_EVENTS", 3)
    monkeypatch.setattr(drafting, "MOST_SCORES", 10)
    assert late_within(own, late) == fitting
