"""What an event, a key or a policy may add."""

from byline_service.compensation.journal import PolicyRevised, SigningKeyAdded
from tests.service.compensation.reference import KEY, event, policy
from tests.service.compensation.replay.journals import Journal


def test_an_event_is_booked_once_and_its_references_are_kept() -> None:
    journal = Journal()
    journal.begin()
    once = event({"a": (1, 2, 3)}, reference="song 1")
    journal.write(once)
    assert journal.found == []
    assert journal.ledger.references == {"song 1": [("digits", 4)]}
    journal.write(once)
    assert "the event was booked already" in journal.found


def test_a_changed_event_has_no_signature() -> None:
    journal = Journal()
    journal.begin()
    journal.write(event({"a": (1, 2, 3)}).model_copy(update={"target": "loss"}))
    assert journal.found == ["the event does not have the signature of a known key"]


def test_changed_works_have_no_signature_and_impossible_ones_are_named() -> None:
    journal = Journal()
    journal.begin()
    booked = event({"a": (1, 2, 3)}, works={"a": (("x", 9), ("y", -4))})
    journal.write(booked)
    assert journal.found == []
    other = event({"a": (1, 2, 3)}, works={"a": (("x", 9), ("y", -4))})
    journal.write(other.model_copy(update={"works": {"a": (("x", 9), ("z", -4))}}))
    journal.write(event({"a": (1, 2, 3)}, works={"b": (("x", 9),)}))
    assert journal.found == [
        "the event does not have the signature of a known key",
        "a work is of an owner without a score",
    ]


def test_a_key_is_added_once() -> None:
    journal = Journal()
    journal.begin()
    journal.write(SigningKeyAdded(public_key=KEY.public.text))
    assert journal.found == ["the key was added already"]


def test_revisions_count_from_one_and_keep_the_calendar() -> None:
    journal = Journal()
    journal.begin()
    journal.write(PolicyRevised(policy=policy(period="day", revision=3)))
    assert journal.found == ["the policy's revisions are not 1, 2, 3 …"]
    journal.write(PolicyRevised(policy=policy(period="month", revision=2)))
    assert len(journal.found) == 2
