"""Charts of owners and runs, against sums by hand."""

import pytest

from byline.api.owner_accounts import OwnerAccounts
from byline.api.statements import RunDocument
from byline_service.pages.compensation.owner_charts import NAMED, RunSum, owner_bars, run_columns


def run_document(**changes):
    return RunDocument.model_validate(
        {
            "id": "r", "kind": "allocation", "state": "posted", "policy": "p", "revision": 1, "currency": "EUR",
            "minor_digits": 2, "drafted_by": "ada", "drafted_at": "2026-03-04T00:00:00Z", "steps": [],
            "period": None, "warnings": [], "hands": [],
        } | changes
    )  # fmt: skip


def accounts(owner, payable=0, escrow=0, carried=0, held=0):
    return OwnerAccounts(owner=owner, payable=payable, escrow=escrow, held=held, carried=carried)


def test_bars_share_a_scale_and_parts_lie_end_to_end():
    most, second, least = owner_bars([accounts("b", 30, 25), accounts("a", 30), accounts("c", 0, 0, 5)])
    assert [part for part, _, _ in most.segments] == ["payable", "escrow"]
    assert sum(width for _, _, width in most.segments) == pytest.approx(200, abs=0.02)
    assert most.segments[1][1] == pytest.approx(most.segments[0][2])
    assert second.segments[0][2] == pytest.approx(200 * 30 / 55, abs=0.02)
    assert least.segments[0][0] == "carried"
    assert most.zero == 0
    assert owner_bars([]) == []


def test_amounts_that_are_taken_back_lie_left_of_zero():
    lost, moved = owner_bars([accounts("a", -30, -20), accounts("b", 25, -25)])
    assert lost.zero == moved.zero == pytest.approx(200 * 50 / 75, abs=0.01)
    assert [part for part, _, _ in lost.segments] == ["payable back", "escrow back"]
    assert min(x for _, x, _ in lost.segments) == pytest.approx(0, abs=0.02)
    (gained, at, wide), (part, x, width) = moved.segments
    assert (gained, at) == ("payable", moved.zero)
    assert part == "escrow back"
    assert x + width == pytest.approx(moved.zero, abs=0.02)
    assert wide == width == pytest.approx(200 * 25 / 75, abs=0.01)


def test_runs_are_in_order_and_small_owners_go_together():
    owners = {f"owner {n}": 10 * (n + 1) for n in range(NAMED + 2)}
    most = dict(sorted(owners.items(), key=lambda item: -item[1])[: NAMED - 1])
    largest = {"x": {"early": 1000}} | {owner: {"late": n} for owner, n in most.items()}
    names, found = run_columns(
        [RunSum("early", "December 2025", 1000), RunSum("late", "January 2026", sum(owners.values()))],
        largest,
    )
    assert names[0] == "x"
    assert names[-1] == "others"
    assert len(names) == NAMED + 1
    assert [(each.run, each.label) for each in found] == [
        ("early", "December 2025"),
        ("late", "January 2026"),
    ]
    assert [each.total for each in found] == [1000, sum(owners.values())]
    for each in found:
        assert sum(each.amounts.values()) == each.total
        assert sum(height for _, _, height in each.segments) == pytest.approx(
            100 * each.total / 1000, abs=0.1
        )
        assert each.zero == 100


def test_a_reversal_hangs_below_the_line():
    runs = [RunSum("paid", "March", 100), RunSum("back", "Reversal", -100)]
    names, (paid, back) = run_columns(runs, {"a": {"paid": 60, "back": -60}})
    assert names == ["a", "others"]
    assert paid.zero == back.zero == 50
    assert [y + height for _, y, height in paid.segments] == [50, 20]
    assert [y for _, y, _ in back.segments] == [50, 80]
    assert sum(height for _, _, height in back.segments) == 50


def test_nothing_is_an_empty_chart():
    assert run_columns([], {}) == ([], [])
