"""Rights tables in the journal and its table."""

import pytest
from sqlalchemy import text

from byline.api.parties import PartyBody
from byline.errors import InvalidInput, NotFound
from byline_service.compensation.rights_csv import write_rights
from byline_service.ledger import party_records, rights_queries

TABLE = "owner,right,party,share,from,to\nada,author,Ada L.,600000,,\nada,author,house,400000,,2026-12-31\n"


def recorded(books):
    books.do(party_records.record_party, PartyBody(name="ada", aliases=["Ada L."]))
    books.do(party_records.record_party, PartyBody(name="house"))
    return books


def revise(books, csv=TABLE):
    return books.do(rights_queries.revise_rights, "digits", csv)


def test_a_table_is_a_record_and_a_change_is_a_revision(books):
    recorded(books)
    first = revise(books)
    assert [row.party for row in first.rows] == ["ada", "house"]
    assert revise(books) == first
    second = revise(books, TABLE.replace("600000", "500000"))
    assert second.revision == 2
    assert books.read(rights_queries.find, "digits") == second
    assert revise(books, write_rights(second.rows)) == second
    with pytest.raises(NotFound):
        books.read(rights_queries.find, "other")
    assert books.verify().findings == []


def test_over_claims_and_unknown_parties_change_nothing(sqlite_books):
    recorded(sqlite_books)
    with pytest.raises(InvalidInput, match=r"lines 2, 3: .* got 1000001"):
        revise(sqlite_books, TABLE.replace("600000", "600001"))
    with pytest.raises(InvalidInput, match="line 3: expected the label of a recorded party"):
        revise(sqlite_books, TABLE.replace("house", "nobody"))
    with pytest.raises(NotFound):
        sqlite_books.read(rights_queries.find, "digits")


def test_a_changed_table_is_found(sqlite_books):
    revise(recorded(sqlite_books))

    async def forge(transaction, _):
        await transaction.execute(text("DROP TRIGGER rights_tables_no_update"))
        await transaction.execute(text("UPDATE rights_tables SET sha256 = 'x'"))

    sqlite_books.do(forge)
    found = [each.where for each in sqlite_books.verify().findings]
    assert "rights_tables digits, 1" in found
