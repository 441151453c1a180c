"""Holds in force after any record."""

import pytest

from byline.api.holds import Subject
from byline_service.compensation.holds import Act, HoldBook, HoldEnded, HoldPlaced
from byline_service.compensation.runs import RunConflict


def act(sequence):
    return Act(sequence=sequence, person="ada", at=f"2026-03-{sequence:02}T00:00:00.000000Z", reason="why")


def placed(hold, owner="ash"):
    return HoldPlaced(hold=hold, subject=Subject(owner=owner), nature="dispute", reason="why")


def test_a_hold_is_in_force_from_its_record_to_its_end():
    book = HoldBook()
    book.read(placed("a"), act(2))
    book.read(placed("b", "birch"), act(3))
    book.read(HoldEnded(hold="a", reason="why"), act(5))
    found = {basis: [each.id for each in book.restrictions(basis)] for basis in range(1, 7)}
    assert found == {1: [], 2: ["a"], 3: ["a", "b"], 4: ["a", "b"], 5: ["b"], 6: ["b"]}
    (one,) = book.restrictions(2)
    assert (one.kind, one.subject.owner, one.since) == ("dispute", "ash", None)
    assert [book.ended_between(act(5).at, basis) for basis in (4, 5)] == [0, 1]
    assert book.ended_between(act(6).at, 9) == 0


def test_what_cannot_have_happened_is_refused():
    book = HoldBook()
    with pytest.raises(RunConflict, match="was not"):
        book.read(HoldEnded(hold="a", reason="why"), act(1))
    book.read(placed("a"), act(2))
    with pytest.raises(RunConflict, match="already"):
        book.read(placed("a"), act(3))
    book.read(HoldEnded(hold="a", reason="why"), act(4))
    with pytest.raises(RunConflict, match="has ended"):
        book.read(HoldEnded(hold="a", reason="why"), act(5))
