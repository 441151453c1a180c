"""Parties in the journal and its tables, and their private details beside it."""

import pytest
from sqlalchemy import select, text

from byline.api.parties import PartyBody, PartyDetails, PartyIdentifiers
from byline.errors import Conflict, NotFound
from byline_service.compensation.parties import party_id
from byline_service.database.tables.compensation import journal
from byline_service.ledger import party_queries, party_records

IBAN = "DE89370400440532013000"
ADA = PartyBody(
    name=" Ada  Love\u0301lace",
    aliases=["A. L."],
    identifiers=PartyIdentifiers(isni="0000 0001 2103 2683"),
    details=PartyDetails(payee="Ada King", contact="ada@example.org", iban=IBAN),
)
NAME = "Ada Lov\u00e9lace"


def record(books, body=ADA):
    return books.do(party_records.record_party, body)


def journal_text(books):
    async def read(reading):
        return "".join((await reading.execute(select(journal.c.document))).scalars())

    return books.read(read)


def test_a_party_is_recorded_once_and_revised(books):
    first = record(books)
    assert (first.party.name, first.party.revision, first.party.id) == (NAME, 1, party_id(NAME))
    assert record(books).party == first.party
    second = record(books, ADA.model_copy(update={"aliases": []}))
    assert second.party.revision == 2
    assert second.details == ADA.details
    assert books.verify().findings == []


def test_labels_from_the_command_line_keep_the_rest(books):
    record(books)
    found = books.do(party_records.record_labels, NAME, ["A. L.", "Countess"])
    assert found.party.aliases == ("A. L.", "Countess")
    assert found.party.identifiers.isni == "0000000121032683"
    assert found.details == ADA.details


def test_two_parties_never_share_a_label(books):
    record(books)
    for body in (PartyBody(name="A. L."), PartyBody(name="grace", aliases=["Ada Love\u0301lace"])):
        with pytest.raises(Conflict):
            record(books, body)
    assert [each.party.name for each in books.read(party_queries.page, None, None, 10)] == [NAME]
    assert books.verify().findings == []


def test_the_journal_has_no_private_details(books):
    record(books)
    for secret in (IBAN, "Ada King", "example.org"):
        assert secret not in journal_text(books)


def test_erased_details_are_gone_and_the_chain_is_whole(books):
    party = record(books).party.id
    record(books, ADA.model_copy(update={"aliases": []}))
    books.do(party_records.erase_details, party)
    assert books.read(party_queries.find, party).details is None

    async def left(reading):
        return (await reading.execute(text("SELECT count(*) FROM party_details"))).scalar()

    assert books.read(left) == 0
    assert books.verify().findings == []
    record(books)
    assert books.read(party_queries.find, party).details == ADA.details
    assert books.verify().findings == []
    with pytest.raises(NotFound):
        books.do(party_records.erase_details, party_id("nobody"))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE party_details SET document = replace(document, '3000', '3001')",
        "DELETE FROM party_details",
        "INSERT INTO party_details VALUES ('p', 1, 's', '{}')",
    ],
)
def test_changed_details_are_found(sqlite_books, change):
    record(sqlite_books)

    async def write(transaction, _):
        await transaction.execute(text(change))

    sqlite_books.do(write)
    (found,) = sqlite_books.verify().findings
    assert found.where.startswith("party_details")
