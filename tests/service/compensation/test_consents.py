"""Times at which works have no consent."""

from byline.api.holds import Subject
from byline_service.compensation.consents import Consent, ConsentBook, ConsentsFact


def day(number):
    return f"2026-03-{number:02}T00:00:00.000000Z"


def consent(status, since, version=None, owner="ash", work="17"):
    subject = Subject(owner=owner, index="digits", work=work)
    return Consent(subject=subject, version=version, status=status, since=day(since), source="a letter")


def found(*records, basis=99):
    """Restrictions as (kind, work, version, since, until), of records (sequence, consents)."""
    book = ConsentBook()
    for sequence, *consents in records:
        book.read(ConsentsFact(consents=tuple(consents)), sequence, "ada", day(sequence))
    return [
        (each.kind, each.subject.work, each.version, each.since[8:10], each.until and each.until[8:10])
        for each in book.restrictions(basis)
    ]


def test_a_status_holds_until_the_next_one():
    records = (1, consent("prohibited", 5), consent("expired", 9)), (2, consent("allowed", 12))
    assert found(*records) == [("prohibited", "17", None, "05", "09"), ("expired", "17", None, "09", "12")]
    assert found(*records, basis=1) == [
        ("prohibited", "17", None, "05", "09"),
        ("expired", "17", None, "09", None),
    ]


def test_allowed_frees_nothing_before_its_record():
    assert found((1, consent("prohibited", 2)), (20, consent("allowed", 2))) == [
        ("prohibited", "17", None, "02", "20")
    ]


def test_the_later_record_counts_at_one_time():
    assert found((1, consent("prohibited", 5)), (2, consent("expired", 5))) == [
        ("expired", "17", None, "05", None)
    ]


def test_works_and_versions_are_apart():
    records = (1, consent("prohibited", 5), consent("prohibited", 6, "b")), (2, consent("allowed", 9, "b"))
    assert found(*records, (3, consent("prohibited", 4, work=None))) == [
        ("prohibited", "17", None, "05", None),
        ("prohibited", "17", "b", "06", "09"),
        ("prohibited", None, None, "04", None),
    ]
