"""A bundle is verified without a database, and every change of it is found."""

from byline_service.compensation.bundle import Bundle, bundle_findings
from byline_service.compensation.event import signed_bytes
from byline_service.compensation.rights import Split
from byline_service.ledger.bundles import read_bundle
from byline_service.signing.keys import SigningKey
from tests.service.compensation.reference import KEY

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62), "elm": (-5, -4, -6)}


def bundle_of(books):
    books.policy(floor=40_000)
    books.book(SCORES, reference="first")
    books.posted(books.draft())
    books.book(SCORES, weight=2)
    books.book({"ash": (3, 4, 5), "cedar": (7, 1, 2)})
    return books.read(read_bundle, books.draft())


def changed(bundle, **event):
    """The bundle with another first event."""
    other = bundle.events[0].model_copy(update=event)
    return bundle.model_copy(update={"events": (other, *bundle.events[1:])})


def test_a_bundle_is_right_and_its_changes_are_found(sqlite_books):
    bundle = bundle_of(sqlite_books)
    read = Bundle.model_validate_json(bundle.canonical())
    assert any(line.brought for line in read.statement.allocation.lines)
    assert bundle_findings(read) == bundle_findings(read, [KEY.public]) == []
    forged = read.events[0].scores | {"ash": (90, 91, 89)}
    assert "signature of a known key" in bundle_findings(changed(read, scores=forged))[0]
    assert "signature of a known key" in bundle_findings(changed(read, works={"ash": (("x", 9),)}))[0]
    assert "not the event that the statement names" in bundle_findings(changed(read, weight=9))[0]
    fewer = read.model_copy(update={"events": read.events[1:]})
    assert bundle_findings(fewer) == ["statement: its events are not those of the bundle"]


def test_amounts_that_do_not_follow_are_found(sqlite_books):
    bundle = bundle_of(sqlite_books)
    allocation = bundle.statement.allocation
    lines = (allocation.lines[0].model_copy(update={"payable": 99}), *allocation.lines[1:])
    statement = bundle.statement.model_copy(
        update={"allocation": allocation.model_copy(update={"lines": lines})}
    )
    assert "to the byte" in bundle_findings(bundle.model_copy(update={"statement": statement}))[0]


def test_events_that_another_key_signed_are_found_by_the_trusted_keys(sqlite_books):
    bundle, forger = bundle_of(sqlite_books), SigningKey.from_secret(b"f" * 32)
    signed = tuple(
        event.model_copy(update={"signature": forger.sign(signed_bytes(event))}) for event in bundle.events
    )
    paid = tuple(
        ref.model_copy(update={"digest": event.sha256})
        for ref, event in zip(bundle.statement.events, signed, strict=True)
    )
    statement = bundle.statement.model_copy(update={"events": paid})
    forged = bundle.model_copy(
        update={"events": signed, "statement": statement, "keys": (forger.public.text,)}
    )
    assert bundle_findings(forged) == []
    assert len(bundle_findings(forged, [KEY.public])) == len(signed)


def test_splits_that_do_not_add_up_are_found(sqlite_books):
    bundle = bundle_of(sqlite_books)
    (owner, payable), *_ = [
        (line.owner, line.payable) for line in bundle.statement.allocation.lines if line.payable
    ]
    for amount, found in ((payable, []), (payable - 1, ["statement: the splits of an owner"])):
        split = Split(owner=owner, right=None, party="press", amount=amount)
        statement = bundle.statement.model_copy(update={"splits": (split,)})
        errors = bundle_findings(bundle.model_copy(update={"statement": statement}))
        assert [each[:33] for each in errors] == [each[:33] for each in found]
