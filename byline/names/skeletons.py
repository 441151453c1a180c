"""Skeletons of names: texts that people cannot tell apart have the same one (Unicode UTS 39).

    skeleton(name) = NFD(prototypes(NFD(name)))          UTS 39, section 4

Two names are one if a skeleton of the one is a skeleton of the other. Case, compatibility characters (such as full-width
letters) and loose marks make no difference either, so a name has several skeletons.
"""

import re
import unicodedata
from functools import cache
from typing import Literal

from confusable_homoglyphs import categories
from confusable_homoglyphs.confusables import confusables_data

IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U00013441\U00013442\U0001d159\U000e0100-\U000e01ef]"
)
"""Printable characters without a picture: Unicode's default-ignorable letters and marks, and blanks."""
FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
DIRECTION = "\u200e"
"""Mark that the data have around right-to-left characters, for display alone."""


def skeletons(name: str) -> frozenset[str]:
    """Return the skeletons of a name. Names that share one cannot be told apart.

    Args:
        name: A recorded name.
    """
    plain = " ".join(_without_loose_marks(IGNORABLE.sub("", unicodedata.normalize("NFKC", name))).split())
    as_written = skeleton(plain)
    return frozenset({as_written, as_written.casefold(), skeleton(plain.casefold())})


def skeleton(text: str) -> str:
    """Return a text's skeleton by UTS 39: confusable texts have the same one."""
    before, after = "", unicodedata.normalize("NFD", text)
    while before != after:  # the data do not tell the direction of every pair: go on until nothing changes
        before = after
        for form in FORMS:  # the data hold composed characters, too
            after = _mapped(unicodedata.normalize(form, after))
        after = unicodedata.normalize("NFD", after)
    return after


def _mapped(text: str) -> str:
    prototypes = _prototypes()
    return "".join(prototypes.get(character, character) for character in text)


def script_of(character: str) -> str:
    """Return the script of a character, `UNKNOWN` if it has none."""
    found: str | None = categories.alias(character)
    return found or "UNKNOWN"


def _without_loose_marks(text: str) -> str:
    """Remove the marks that no composed letter holds and that do not belong to their letter's script."""
    kept: list[str] = []
    base = "UNKNOWN"
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) not in {"Mn", "Me"}:
            base = script_of(character)
        elif script_of(character) != base:
            continue
        kept.append(character)
    return "".join(kept)


@cache
def _prototypes() -> dict[str, str]:
    """Return the prototype of each confusable character.

    The data list each pair of Unicode's table in both directions. A prototype is a sequence, or a character of several
    pairs. Of a pair that stands alone, the lesser character is the prototype.
    """
    pairs = {
        (character.strip(DIRECTION), each["c"].strip(DIRECTION))
        for character, others in confusables_data.items()
        for each in others
    }
    others: dict[str, set[str]] = {}
    for one, other in pairs:
        others.setdefault(one, set()).add(other)

    def rank(text: str) -> tuple[bool, int, list[int]]:
        return len(text) == 1, -len(others[text]), [ord(character) for character in text]

    return {
        character: min(near, key=rank)
        for character, near in others.items()
        if len(character) == 1 and rank(min(near, key=rank)) < rank(character)
    }
