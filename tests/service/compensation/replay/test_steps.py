"""Steps of runs: who may take them, and what a posted run changes."""

import pytest

from tests.service.compensation.replay.journals import Journal


def drafted() -> tuple[Journal, object]:
    journal = Journal()
    statement = journal.statement(journal.begin())
    journal.draft(statement)
    return journal, statement


def test_a_posted_run_has_entries_and_claims() -> None:
    journal, statement = drafted()
    journal.step("approval", statement)
    journal.step("posting", statement)
    assert journal.found == []
    assert sum(journal.ledger.balances("royalties").values()) == 0
    (claim,) = journal.ledger.claims.by_event.values()
    assert [each.run for each in claim] == ["run"]
    assert journal.ledger.open == {"royalties": set()}


@pytest.mark.parametrize(("kind", "person"), [("approval", "ada"), ("posting", "grace")])
def test_a_step_that_is_not_allowed(kind: str, person: str) -> None:
    journal, statement = drafted()
    journal.step(kind, statement, person=person)
    assert len(journal.found) == 1
    assert journal.ledger.entries == []


def test_a_step_on_another_statement() -> None:
    journal, _ = drafted()
    other = Journal()
    journal.step("approval", other.statement(other.begin(), late_waiting=1))
    assert "the person acted on another statement" in journal.found


def test_an_unknown_run() -> None:
    journal, statement = drafted()
    journal.step("approval", statement, run="another")
    assert journal.found == ["the run does not exist"]
