"""The state that records make."""

import pytest

from byline.errors import InvalidInput
from byline_service.compensation.journal import PolicyRevised
from tests.service.compensation.reference import event, policy
from tests.service.compensation.replay.journals import Journal


def test_the_newest_revision_counts() -> None:
    journal = Journal()
    journal.begin()
    journal.write(PolicyRevised(policy=policy(period="day", revision=2, largest_weight=7)))
    assert journal.found == []
    assert journal.ledger.newest("royalties").largest_weight == 7
    assert [each.revision for each in journal.ledger.current()] == [2]
    with pytest.raises(InvalidInput):
        journal.ledger.newest("another")


def test_the_second_event_of_a_reference_is_repeated() -> None:
    journal = Journal()
    journal.begin()
    booked = [journal.write(event({"a": (1, 2, 3)}, reference="r")).fact.event for _ in range(2)]
    assert journal.ledger.repeated(policy(), booked) == {booked[1].id}
    assert journal.ledger.repeated(policy(indexes=("others",)), booked) == set()


def test_balances_up_to_a_record() -> None:
    journal = Journal()
    statement = journal.statement(journal.begin())
    journal.draft(statement)
    journal.step("approval", statement)
    journal.step("posting", statement)
    assert journal.ledger.balances("royalties", journal.head[0] - 1) == {}
    assert journal.ledger.balances("royalties")["funding", None] == -100_000
