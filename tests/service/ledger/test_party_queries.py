import pytest

from byline.api.parties import PartyBody
from byline.errors import InvalidInput
from byline_service.ledger import party_queries, party_records


def test_pages_are_narrowed_to_the_labels_of_a_key(sqlite_books):
    for name in ("c", "a", "b"):
        sqlite_books.do(party_records.record_party, PartyBody(name=name, aliases=[name * 2]))

    def names(owners=None, after=None, limit=10):
        rows = sqlite_books.read(party_queries.page, owners, after, limit)
        return [row.party.name for row in rows]

    assert names() == ["a", "b", "c"]
    assert names(limit=2) == ["a", "b"]
    assert names(after="b") == ["c"]
    assert names(owners={"bb", "c", "x"}) == ["b", "c"]
    book = sqlite_books.read(party_queries.party_book)
    assert sorted(book.labels) == ["a", "aa", "b", "bb", "c", "cc"]


def test_owners_of_keys_are_known(sqlite_books):
    sqlite_books.do(party_records.record_party, PartyBody(name="a", aliases=["b"]))
    sqlite_books.read(party_queries.require_known_owners, {"a", "b", "c"}, {"c"})
    with pytest.raises(InvalidInput, match="got 2 others"):
        sqlite_books.read(party_queries.require_known_owners, {"a", "d", "e"}, {"c"})
