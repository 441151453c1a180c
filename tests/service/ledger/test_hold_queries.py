"""Holds are read as they were written, on each kind of database."""

from byline_service.ledger import hold_queries, journal_queries


def test_pages_and_those_in_force(books):
    first = books.hold("ash", "dispute")
    second = books.hold("birch", index="digits", work="17")
    basis = books.read(journal_queries.last_sequence)
    books.end_hold(first)

    def page(before=None, limit=9, state=None):
        async def read(reading):
            return await hold_queries.page(reading, before, limit, state)

        return books.read(read)

    found = page()
    assert [hold.id for hold in found] == [second, first]
    assert [hold.id for hold in page(before=found[0].placed.sequence)] == [first]
    assert [hold.id for hold in page(limit=1)] == [second]
    assert [hold.id for hold in page(state="in_force")] == [second]
    assert [hold.id for hold in page(state="ended")] == [first]
    one, other = (books.read(hold_queries.find, hold) for hold in (first, second))
    assert (one.nature, one.placed.person, one.ended.person, one.ended.reason) == (
        "dispute",
        "ada",
        "grace",
        "agreed",
    )
    assert (other.subject.index, other.subject.work, other.ended) == ("digits", "17", None)
    assert [each.id for each in books.read(hold_queries.restrictions, basis)] == [first, second]
    assert [each.id for each in books.read(hold_queries.restrictions, basis + 1)] == [second]
    assert books.verify().findings == []
