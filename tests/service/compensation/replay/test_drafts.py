"""Statements are recomputed to the byte."""

from tests.service.compensation.reference import event
from tests.service.compensation.replay.journals import Journal


def test_a_statement_that_was_computed_otherwise() -> None:
    journal = Journal()
    booked = journal.begin()
    mine = booked.model_copy(update={"scores": {"a": (4, 5, 6), "b": (9, 9, 9)}})
    journal.draft(journal.statement(mine))
    assert journal.found == ["the recomputed statement differs: it must agree to the byte"]


def test_a_draft_of_a_policy_that_was_never_revised_so() -> None:
    journal = Journal()
    booked = journal.begin(largest_weight=7)
    journal.draft(journal.statement(booked))
    assert "the run's policy is not the revision that it names" in journal.found


def test_an_event_that_the_draft_left_out() -> None:
    journal = Journal()
    booked = journal.begin()
    statement = journal.statement(booked)
    journal.write(event({"c": (1, 2, 3)}))
    journal.draft(statement)
    assert journal.found == [], "it was booked after the basis of the draft"
    journal.draft(statement, "run")
    assert journal.found == ["the run was drafted already"]
