"""Splits of the rights table, against exact fractions; over-claims; validity."""

import random
from datetime import date, timedelta
from fractions import Fraction

import pytest

from byline.errors import InvalidInput
from byline_service.compensation.rights import (
    WHOLE,
    RightsBook,
    RightsRow,
    RightsTable,
    divide,
    last_day,
    over_claims,
    require_claimable,
    row_order,
)
from tests.service.compensation.reference import hamilton

DAY = "2026-03-31"


def row(party="p", share=WHOLE, owner="ada", right="author", since=None, until=None):
    return RightsRow(owner=owner, right=right, party=party, share=share, since=since, until=until)


def drawn(random_source):
    """Rows of one owner whose rights are never over-claimed."""
    rows = []
    for right in random_source.sample(["author", "publisher", "producer"], random_source.randint(0, 3)):
        left = WHOLE
        for party in range(random_source.randint(1, 5)):
            share = random_source.randint(1, max(1, left // 2))
            left -= share
            rows.append(row(f"party {party}", share, right=right))
    return rows


def exact(rows, amount):
    """Exact parts by right and party, with the unclaimed rest of each right."""
    rights = {each.right for each in rows}
    parts = {}
    for each in rows:
        key = each.right, each.party
        parts[key] = parts.get(key, 0) + Fraction(amount * each.share, WHOLE * len(rights))
    for right in rights:
        rest = WHOLE - sum(each.share for each in rows if each.right == right)
        if rest:
            parts[right, ""] = Fraction(amount * rest, WHOLE * len(rights))
    return parts


def test_a_hundred_splits_are_the_exact_ones_by_largest_remainder():
    source = random.Random(13)
    for _ in range(100):
        rows, amount = drawn(source), source.randint(1, 10**9)
        found = divide(source.sample(rows, len(rows)), "ada", amount, DAY)
        assert sum(each.amount for each in found) == amount
        if rows:
            parts = exact(rows, amount)
            wanted = {key: part for key, part in hamilton(parts, amount).items() if part}
            assert {(each.right, each.party or ""): each.amount for each in found} == wanted
            assert all(abs(part - wanted.get(key, 0)) < 1 for key, part in parts.items())
        else:
            assert [(each.party, each.right) for each in found] == [("ada", None)]


def test_a_removed_owner_changes_no_other_split():
    source = random.Random(7)
    rows = [each.model_copy(update={"owner": f"owner {n}"}) for n in range(100) for each in drawn(source)]
    for n in range(100):
        left = [each for each in rows if each.owner != f"owner {n}"]
        other = f"owner {(n + 1) % 100}"
        assert divide(left, other, 12_345, DAY) == divide(rows, other, 12_345, DAY)
        (own,) = divide(left, f"owner {n}", 12_345, DAY)
        assert (own.party, own.amount) == (f"owner {n}", 12_345)


def test_rows_count_on_their_first_and_last_day():
    rows = [row("old", until="2026-03-31"), row("new", since="2026-04-01")]
    assert not over_claims(rows)
    for day, party in (("2026-03-31", "old"), ("2026-04-01", "new"), ("2099-01-01", "new")):
        assert [each.party for each in divide(rows, "ada", 5, day)] == [party]


def test_overlapping_days_are_an_over_claim():
    rows = [row("old", until="2026-04-01"), row("new", since="2026-04-01"), row("x", owner="bob")]
    (found,) = over_claims(rows)
    assert (found.rows, found.day, found.claimed) == ((0, 1), "2026-04-01", 2 * WHOLE)
    with pytest.raises(InvalidInput, match="millionths"):
        require_claimable(rows)


def test_over_claims_against_every_day():
    source = random.Random(3)
    first = date(2026, 1, 1)
    days = [(first + timedelta(days=n)).isoformat() for n in range(12)]
    for _ in range(100):
        rows = []
        for n in range(5):
            since, until = sorted(source.choices(days[1:-1], k=2))
            since, until = source.choice([since, None]), source.choice([until, None])
            rows.append(row(f"p{n}", source.randint(1, 600_000), since=since, until=until))
        worst = max(sum(each.share for each in rows if each.valid(day)) for day in days)
        assert bool(over_claims(rows)) == (worst > WHOLE)


def test_shares_of_other_rights_are_apart():
    rows = [row("author"), row("house", right="publisher", share=WHOLE // 2)]
    assert not over_claims(rows)
    found = {(each.right, each.party): each.amount for each in divide(rows, "ada", 1000, DAY)}
    assert found == {("author", "author"): 500, ("publisher", "house"): 250, ("publisher", None): 250}


def test_nothing_is_divided_into_nothing():
    assert divide([row()], "ada", 0, DAY) == ()


@pytest.mark.parametrize(
    "rows", [[row(), row()], [row(since="2026-02-01", until="2026-01-01")], [row("a"), row("b", share=1)]]
)
def test_wrong_tables_are_refused(rows):
    with pytest.raises(InvalidInput):
        require_claimable(rows)
    with pytest.raises(InvalidInput):
        RightsBook().add(1, RightsTable(index="i", revision=1, rows=tuple(sorted(rows, key=row_order))))


def test_a_revision_counts_from_its_record_on():
    book = RightsBook()
    first, second = (RightsTable(index="i", revision=n, rows=(row(f"p{n}"),)) for n in (1, 2))
    book.add(4, first)
    book.add(9, second)
    assert [book.at("i", basis) for basis in (3, 4, 8, 9)] == [None, first, first, second]
    assert book.at("other", 9) is None
    with pytest.raises(InvalidInput, match="1, 2, 3"):
        book.add(10, second)


def test_the_last_day_of_a_period():
    assert last_day("2026-04-01T00:00:00.000000Z") == "2026-03-31"
