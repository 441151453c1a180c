"""Names of persons: two that the eye cannot tell apart are one, whatever their characters (UTS 39)."""

import unicodedata

import pytest
from confusable_homoglyphs.confusables import confusables_data

from byline.errors import InvalidInput
from byline.names.skeletons import DIRECTION, skeleton, skeletons
from byline_service.person_names import person_name

ALIKE = [
    ("ada", "\u0430d\u0430"),  # Cyrillic
    ("ada", "\uff41\uff44\uff41"),  # full-width
    ("Mia", "\uff2d\uff49\uff41"),  # full-width, without an entry in the table of confusables
    ("ada", "ada\u3164"),  # Hangul filler
    ("ada", "a\u034fda"),  # combining grapheme joiner
    ("ada", "ada\ufe0f"),  # variation selector
    ("ada", "ada\u0650"),  # an Arabic mark below the last letter
    ("ada", "ad\u0308a"),  # no letter of its own
    ("ada", "\U0001d41a\U0001d41d\U0001d41a"),  # mathematical bold
    ("ada", "ADA"),
    ("harry", "\u0397ARRY"),  # Greek eta in capitals
    ("Ian", "lan"),
    ("reader 1", "reader l"),
    ("modern", "rnodern"),
    ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # wholly Cyrillic
    ("\u0661", "1"),  # Arabic digit
    ("\u0647", "o"),  # Arabic heh
    ("Jos\u00e9", "Jose\u0301"),
]
DIFFERENT = [
    ("ada", "adam"),
    ("ada", "grace"),
    ("Jos\u00e9", "Jose"),
    ("owner 1", "owner 2"),
    ("\u0430\u0434\u0430", "ada"),
]
INVISIBLE = [
    "\u3164",
    "\u115f",
    "\u1160",
    "\uffa0",
    "\u200b",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u202e",
    "\u2066",
]
INVISIBLE += [
    "\u034f",
    "\ufe0f",
    "\U000e0100",
    "\U000e0041",
    "\u180e",
    "\u17b4",
    "\u2800",
    "\u0000",
    "\n",
    "\u00a0",
    "\u2003",
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_look_alike_share_a_skeleton(one, other):
    assert skeletons(one) & skeletons(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_that_differ_share_none(one, other):
    assert not skeletons(one) & skeletons(other)


def test_every_pair_of_unicodes_table_is_joined():
    """But for Hebrew forms that NFC takes apart: names are NFC before they are compared."""
    pairs = {
        (one.strip(DIRECTION), other["c"].strip(DIRECTION))
        for one, others in confusables_data.items()
        for other in others
    }
    assert len(pairs) > 12_000
    apart = {pair for pair in pairs if skeleton(pair[0]) != skeleton(pair[1])}
    assert all(unicodedata.normalize("NFC", one) != one for one, _ in apart)
    assert len(apart) == 8


def test_a_skeleton_is_its_own_skeleton():
    for text in ("ada", "rnodern", "\u00e5", "\u0227", "\u1e9a", "\u0665\u06f5", "\u05d0\u05b8", "\uac00"):
        assert skeleton(skeleton(text)) == skeleton(text)


@pytest.mark.parametrize("character", INVISIBLE)
def test_invisible_characters_are_refused(character):
    for name in (f"ada{character}", f"a{character}da", f"{character}ada"):
        with pytest.raises(InvalidInput, match=r"invisible|printable"):
            person_name(name)


@pytest.mark.parametrize(
    "name", ["\u0430da", "p\u0430ypal", "\u03b1da", "ad\u0561", "\u0430\u0434\u0430 ada"]
)
def test_letters_of_two_scripts_are_refused(name):
    with pytest.raises(InvalidInput, match="several"):
        person_name(name)


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "\u0301ada"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidInput):
        person_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Ada, rights",
        "O'Brien",
        "Jos\u00e9-Mar\u00eda",
        "\u0141ukasz \u017b\u00f3\u0142\u0107",
        "Nguy\u1ec5n V\u0103n",
        "\u0412\u043b\u0430\u0434\u0438\u043c\u0438\u0440",
        "\u03a3\u03bf\u03c6\u03af\u03b1",
        "\u05d3\u05d5\u05d3",
        "\u0645\u062d\u0645\u0651\u062f",
        "\u0930\u093e\u092e",
        "\u7530\u4e2d Taro",
        "\uae40 Kim",
        "curator 2",
    ],
)
def test_names_of_the_worlds_scripts_are_taken(name):
    assert person_name(name) == name


def test_a_name_is_recorded_in_one_spelling():
    assert person_name("  Jose\u0301   Mar\u00eda ") == "Jos\u00e9 Mar\u00eda"
