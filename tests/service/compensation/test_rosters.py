"""The roster of a period, and of versions."""

import pytest

from byline.errors import Conflict
from byline_service.compensation.rosters import Roster, RosterBook, RosterRecord


def recorded(sequence, version="a", index="digits", sizes=None):
    roster = Roster(index=index, version=version, manifest="a" * 64, sizes=sizes or {"ash": sequence})
    return RosterRecord(
        sequence=sequence, at=f"2026-03-{sequence:02}T00:00:00.000000Z", person="ada", roster=roster
    )


def test_a_period_has_the_last_roster_before_its_end_or_the_first_one():
    book = RosterBook()
    for record in (recorded(3), recorded(5, "b"), recorded(7, "c"), recorded(8, index="shapes")):
        book.read(record)

    def of(day, basis=9):
        found = book.of_period("digits", f"2026-03-{day:02}T00:00:00.000000Z", basis)
        return None if found is None else found.version

    assert [of(day) for day in (2, 3, 4, 6, 8)] == ["a", "a", "a", "b", "c"]
    assert of(8, basis=6) == "b"
    assert of(8, basis=2) is None


def test_versions_that_are_known():
    book = RosterBook([recorded(3), recorded(5, "b")])
    found = book.of_versions([("digits", "b"), ("digits", "x"), ("digits", "a")], 4)
    assert {version: roster.sizes for version, roster in found.items()} == {("digits", "a"): {"ash": 3}}


def test_the_newest_roster_is_not_recorded_again():
    book = RosterBook([recorded(3)])
    with pytest.raises(Conflict, match="nothing to do"):
        book.read(recorded(4, sizes={"ash": 3}))
    book.read(recorded(5, "b"))
    book.read(recorded(6, sizes={"ash": 3}))
    assert len(book.records) == 3
