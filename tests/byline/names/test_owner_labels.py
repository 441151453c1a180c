"""One spelling for each owner: NFC and NFD, spaces and unseen characters make no second payee."""

import unicodedata

import pytest

from byline.errors import InvalidInput
from byline.names.owner_labels import OwnerSpellings, owner_label


@pytest.mark.parametrize(
    "given",
    [
        "Zo\u00eb  Jäger",
        " Zoe\u0308 Ja\u0308ger ",
        "Zo\u00eb\u00a0Jäger",
        "Zo\u00eb\u3000 Jäger\u2003",
    ],
)
def test_spellings_of_one_label(given: str) -> None:
    assert owner_label(given) == "Zo\u00eb Jäger"


@pytest.mark.parametrize("unseen", ["\u202e", "\u200b", "\u2066", "\x00", "\n", "\ufeff", "\u3164", "\ufe0f"])
def test_unseen_characters_are_refused(unseen: str) -> None:
    with pytest.raises(InvalidInput, match=f"U\\+{ord(unseen):04X}"):
        owner_label(f"ada{unseen}lovelace")


def test_spaces_alone_are_no_owner() -> None:
    assert owner_label(" \u00a0 ") is None
    assert OwnerSpellings().label(None) is None


def test_spellings_that_became_one_are_told() -> None:
    spellings = OwnerSpellings()
    authors = [f"Autor {number:03} Jäger" for number in range(121)]
    forms = ("NFC", "NFD")
    found = {
        spellings.label(unicodedata.normalize(forms[n % 2], author) + " " * (n % 3))  # type: ignore[arg-type]
        for n in range(6)
        for author in authors
    }
    assert len(found) == 121
    (notice,) = spellings.notices()
    assert notice.startswith("owners with several spellings")
    assert "(121)" in notice


def test_labels_that_look_alike_are_told_and_stay_apart() -> None:
    spellings = OwnerSpellings()
    found = {spellings.label(each) for each in ("ada", "\u0430d\u0430", "grace")}
    assert len(found) == 3
    (notice,) = spellings.notices()
    assert notice.startswith("owners that look alike, and stay apart (1)")
