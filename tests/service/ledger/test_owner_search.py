"""Search and order of owners do not depend on the database."""

import pytest

from byline.api.owner_accounts import OwnerAccounts, OwnerSearch
from byline_service.ledger.owner_search import folded, matching

OWNERS = [
    OwnerAccounts(owner=owner, payable=payable, escrow=escrow, held=0, carried=carried)
    for owner, payable, escrow, carried in (
        ("Jäger", 5, 0, 0),
        ("jaeger", 5, 9, 0),
        ("Zoë", 0, 1, 3),
        ("Élan", -2, 0, 0),
        ("ΣΟΦΙΑ", 7, 7, 7),
    )
]


def names(**search):
    return [each.owner for each in matching(OWNERS, OwnerSearch(**search))]


def test_the_largest_payable_amount_comes_first_and_names_break_ties():
    assert names() == ["ΣΟΦΙΑ", "jaeger", "Jäger", "Zoë", "Élan"]
    assert names(order="asc") == ["Élan", "Zoë", "jaeger", "Jäger", "ΣΟΦΙΑ"]
    assert names(sort="total")[0] == "ΣΟΦΙΑ"
    assert names(sort="owner", order="asc") == ["Élan", "jaeger", "Jäger", "Zoë", "ΣΟΦΙΑ"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("jag", ["Jäger"]), ("ELAN", ["Élan"]), ("σοφια", ["ΣΟΦΙΑ"]), (" zoe ", ["Zoë"]), ("x", [])],
)
def test_case_and_accents_do_not_count(text, found):
    assert names(text=text) == found


def test_owners_hold_an_amount_in_an_account():
    assert names(holding="carried") == ["ΣΟΦΙΑ", "Zoë"]
    assert names(holding="payable", text="a") == ["jaeger", "Jäger", "Élan"]


def test_folding_keeps_other_letters():
    assert folded("Straße ﬁ") == "strasse fi"
