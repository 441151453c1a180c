import pytest

from byline.api.parties import PartyDetails, PartyIdentifiers
from byline.errors import Conflict, InvalidInput
from byline_service.compensation.parties import (
    Party,
    PartyBook,
    checked_details,
    checked_identifiers,
    details_digest,
    masked,
    party_id,
    required_label,
)

RIGHT = {
    "isni": ("0000 0001 2103 2683", "0000000121032683"),
    "orcid": ("https://orcid.org/0000-0002-1825-0097", "0000000218250097"),
    "ipi": ("141.07.338", None),
    "lei": ("213800KUD8LAJWSQ9D15", "213800KUD8LAJWSQ9D15"),
}
WRONG = {
    "isni": "0000 0001 2103 2684",
    "orcid": "0000-0002-1825-0098",
    "ipi": "00014107339",
    "lei": "213800KUD8LXJWSQ9D15",
}


def party(name, aliases=(), revision=1):
    return Party(
        name=name,
        revision=revision,
        aliases=tuple(aliases),
        identifiers=PartyIdentifiers(),
        details=None,
    )


@pytest.mark.parametrize("name", ["isni", "orcid", "lei"])
def test_identifiers_are_written_one_way(name):
    given, wanted = RIGHT[name]
    assert getattr(checked_identifiers(PartyIdentifiers(**{name: given})), name) == wanted


def test_an_ipi_name_number_has_eleven_digits():
    assert checked_identifiers(PartyIdentifiers(ipi="000141073 38")).ipi == "00014107338"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_check_digit_is_refused(name):
    with pytest.raises(InvalidInput, match=f"valid {name.upper()}") as refused:
        checked_identifiers(PartyIdentifiers(**{name: WRONG[name]}))
    assert WRONG[name] not in str(refused.value)


def test_ibans():
    found = checked_details(PartyDetails(iban="de89 3704 0044 0532 0130 00"))
    assert found.iban == "DE89370400440532013000"
    assert masked(found.iban) == "DE" + "•" * 16 + "3000"
    with pytest.raises(InvalidInput, match="valid IBAN"):
        checked_details(PartyDetails(iban="DE88370400440532013000"))
    assert checked_details(PartyDetails()) is None


def test_the_digest_needs_the_salt():
    details = PartyDetails(iban="DE89370400440532013000")
    assert details_digest("a", details) == details_digest("a", details) != details_digest("b", details)


def test_labels_are_normalized():
    assert required_label("  Zoe\u0308 ") == "Zo\u00eb"
    with pytest.raises(InvalidInput):
        required_label(" ")
    with pytest.raises(InvalidInput, match="not normalized"):
        PartyBook().add(1, party("Zoe\u0308"))


def test_a_label_has_one_party_for_good():
    book = PartyBook()
    book.add(1, party("ada", ["A. Lovelace"]))
    book.add(2, party("ada", revision=2))
    with pytest.raises(Conflict):
        book.add(3, party("grace", ["A. Lovelace"]))
    with pytest.raises(InvalidInput, match="1, 2, 3"):
        book.add(4, party("ada", revision=2))


def test_an_alias_is_paid_to_the_name_from_its_record_on():
    book = PartyBook()
    book.add(5, party("ada", ["A. Lovelace"]))
    assert book.payee("A. Lovelace", basis=5) == "ada"
    assert book.payee("A. Lovelace", basis=4) == "A. Lovelace"
    assert book.payee("grace", basis=9) == "grace"


def test_only_parties_are_erased():
    book = PartyBook()
    with pytest.raises(InvalidInput):
        book.erase(1, party_id("nobody"))
