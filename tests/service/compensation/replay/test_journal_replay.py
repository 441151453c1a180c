"""The chain of records: numbers, hashes and times."""

import pytest

from tests.service.compensation.reference import event
from tests.service.compensation.replay.journals import Journal


def test_a_right_journal_has_no_findings() -> None:
    journal = Journal()
    journal.begin()
    assert journal.found == []
    assert journal.ledger.head == journal.head


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"sequence": 9}, "expected sequence 4"),
        ({"previous": "0" * 64}, "the chain is broken"),
        ({"at": "2026-03-01T00:00:00.000000Z"}, "its time is not after"),
    ],
)
def test_a_record_in_the_wrong_place(change: dict[str, object], what: str) -> None:
    journal = Journal()
    journal.begin()
    journal.write(event({"a": (1, 2, 3)}), **change)
    assert any(what in each for each in journal.found)


def test_a_draft_needs_the_events_of_its_period() -> None:
    journal = Journal()
    booked = journal.begin()
    record = journal.draft(journal.statement(booked))
    assert journal.replay.wanted(record) == [3]
    assert journal.found == []
