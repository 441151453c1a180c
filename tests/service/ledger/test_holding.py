"""Amounts under a hold or a dispute are held back, and paid out by a release of two persons."""

import pytest

from byline.errors import NotFound
from byline_service.compensation.runs import RunConflict, SamePerson
from byline_service.ledger import run_workflow

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


@pytest.fixture
def books(sqlite_books):
    return sqlite_books


def sound(books):
    assert books.verify().findings == []


def paid(books, **terms):
    """Post a run of one event, and return its lines by owner."""
    books.policy(**terms)
    books.book(SCORES)
    run_id = books.draft()
    books.posted(run_id)
    return {line.owner: line for line in books.lines(run_id)}


def test_amounts_are_held_until_a_release_pays_them(books):
    hold = books.hold("ash", "dispute")
    lines = paid(books)
    assert (lines["ash"].payable, lines["ash"].held) == (0, lines["ash"].earned)
    assert books.account("held") == {"ash": lines["ash"].held}
    assert set(books.account("payable")) == {"birch"}
    books.end_hold(hold)
    assert books.account("held") == {"ash": lines["ash"].held}, "the end of a hold pays nothing"
    release = books.release("agreed", account="held")
    with pytest.raises(SamePerson):
        books.approve(release, person="ada")
    books.posted(release)
    assert books.account("held") == {}
    assert books.account("payable")["ash"] == lines["ash"].earned
    sound(books)


def test_a_part_is_released_and_the_rest_stays_held(books):
    hold = books.hold("ash")
    held = paid(books)["ash"].held
    part = books.release("the undisputed part", {"ash": 7}, account="held")
    assert books.warned(part) == [("released_in_spite", 7)]
    assert [each.id for each in books.statement(part).restrictions] == [hold]
    books.posted(part)
    assert (books.account("held"), books.account("payable")["ash"]) == ({"ash": held - 7}, 7)
    sound(books)


def test_the_approver_is_told(books):
    books.policy()
    books.book(SCORES)
    hold = books.hold("ash")
    ended = books.hold("birch")
    books.end_hold(ended)
    run_id = books.draft()
    held = next(line.held for line in books.lines(run_id) if line.owner == "ash")
    assert books.warned(run_id) == [("held", held), ("holds_ended", 1)]
    assert [each.id for each in books.statement(run_id).restrictions] == [hold]


def test_holds_of_others_are_none_of_a_run(books):
    books.hold("oak")
    books.hold("ash", index="shapes", work="17")
    lines = paid(books)
    assert not any(line.held for line in lines.values())


def test_a_reversal_takes_held_amounts_back(books):
    books.hold("ash")
    books.policy()
    books.book(SCORES)
    run_id = books.draft()
    books.posted(run_id)
    part = books.release("agreed", {"ash": 7}, account="held")
    books.posted(part)
    back = books.do(run_workflow.reverse, run_id, "a mistake").id
    books.approve(back)
    with pytest.raises(RunConflict, match="first"):
        books.post(back)
    books.posted(books.do(run_workflow.reverse, part, "first this").id)
    books.post(back)
    assert (books.account("held"), books.account("payable")) == ({}, {})
    sound(books)


def test_an_end_is_of_a_hold_in_force(books):
    with pytest.raises(NotFound):
        books.end_hold("0" * 32)
    hold = books.hold("ash")
    books.end_hold(hold)
    with pytest.raises(RunConflict, match="has ended"):
        books.end_hold(hold)
    sound(books)
