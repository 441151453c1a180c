from byline.api.parties import PartyIdentifiers
from byline_service.compensation.parties import Party, PartyRecorded
from byline_service.compensation.rights import WHOLE, RightsRevised, RightsRow, RightsTable
from tests.service.compensation.replay.journals import Journal


def revision(*shares, number=1):
    rows = tuple(
        RightsRow(owner="a", right="author", party=f"p{n}", share=share) for n, share in enumerate(shares)
    )
    return RightsRevised(table=RightsTable(index="digits", revision=number, rows=rows))


def journal_with(*names):
    journal = Journal()
    for name in names:
        party = Party(name=name, revision=1, aliases=(), identifiers=PartyIdentifiers(), details=None)
        journal.write(PartyRecorded(party=party))
    return journal


def test_a_table_of_recorded_parties_is_right():
    journal = journal_with("p0", "p1")
    journal.write(revision(WHOLE // 2, WHOLE // 2))
    journal.write(revision(1, 1, number=2))
    assert journal.found == []
    assert journal.ledger.rights.at("digits", 3).revision == 1


def test_forged_tables_are_found():
    journal = journal_with("p0")
    journal.write(revision(1, 1))
    journal.write(revision(1, number=3))
    journal.write(revision(WHOLE, 1, number=2))
    assert len(journal.found) == 3
