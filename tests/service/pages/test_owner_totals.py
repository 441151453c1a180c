"""Where owners stand, against sums by hand."""

import pytest

from byline.api.statements import BalanceDocument, StatementDocument
from byline_service.pages.owner_totals import NAMED, balanced, owner_bars, owner_totals, periods, totals


def balance(account, owner, amount):
    return BalanceDocument(
        policy="p", account=account, owner=owner, currency="EUR", minor_digits=2, amount=amount
    )


def statement(run, until, **payable):
    lines = [
        {"owner": owner, "earned": n, "brought": 0, "payable": n, "carried": 0, "escrow": 5, "held": 0}
        for owner, n in payable.items()
    ]
    return StatementDocument.model_validate(
        {
            "id": run, "kind": "allocation", "state": "posted", "policy": "p", "revision": 1, "currency": "EUR",
            "minor_digits": 2, "drafted_by": "ada", "drafted_at": "2026-03-04T00:00:00Z", "steps": [], "reason": None,
            "since": None, "until": until, "events": 1, "late": 0,
            "period": None, "warnings": [], "hands": [], "asked": {},
            "refused": [], "restrictions": [], "account": None, "lines": lines, "totals": None, "sha256": "0" * 64,
        }
    )  # fmt: skip


BALANCES = [
    balance("funding", None, -100),
    balance("payable", "b", 30),
    balance("payable", "a", 30),
    balance("escrow", "b", 25),
    balance("carried", "c", 5),
    balance("unallocated", None, 10),
]


def test_owners_with_most_come_first_and_sums_are_whole():
    found = owner_totals(BALANCES)
    assert [(each.owner, each.total) for each in found] == [("b", 55), ("a", 30), ("c", 5)]
    assert totals(BALANCES) == {
        "payable": 60,
        "escrow": 25,
        "held": 0,
        "carried": 5,
        "unallocated": 10,
        "funding": -100,
    }


def test_bars_share_a_scale_and_parts_lie_end_to_end():
    most, second, least = owner_bars(owner_totals(BALANCES))
    assert [part for part, _, _ in most.segments] == ["payable", "escrow"]
    assert sum(width for _, _, width in most.segments) == pytest.approx(200, abs=0.02)
    assert most.segments[1][1] == pytest.approx(most.segments[0][2])
    assert second.segments[0][2] == pytest.approx(200 * 30 / 55, abs=0.02)
    assert least.segments[0][0] == "carried"
    assert owner_bars([]) == []


def test_periods_are_in_order_and_small_owners_go_together():
    owners = {f"owner {n}": 10 * (n + 1) for n in range(NAMED + 2)}
    late, early = (
        statement("late", "2026-02-01T00:00:00Z", **owners),
        statement("early", "2026-01-01T00:00:00Z", x=1000),
    )
    names, found = periods([late, early])
    assert names[0] == "x"
    assert names[-1] == "others"
    assert len(names) == NAMED + 1
    assert [(each.run, each.label) for each in found] == [("early", "2025-12-31"), ("late", "2026-01-31")]
    assert [each.total for each in found] == [1000, sum(owners.values())]
    for each in found:
        assert sum(each.amounts.values()) == each.total
        assert sum(height for _, _, height in each.segments) == pytest.approx(
            100 * each.total / 1000, abs=0.1
        )


def test_accounts_balance_by_policy():
    assert balanced([balance("funding", None, -5), balance("payable", "a", 5)])
    other = BALANCES[0].model_copy(update={"policy": "q", "currency": "USD", "amount": -5})
    assert not balanced([balance("payable", "a", 5), other])


def test_nothing_is_an_empty_chart():
    assert periods([]) == ([], [])
