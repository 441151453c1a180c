"""Names of persons: what a name may hold, and which names people cannot tell apart (Unicode UTS 39).

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

from byline.errors import InvalidInput

LONGEST = 100
IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U00013441\U00013442\U0001d159\U000e0100-\U000e01ef]"
)
"""Printable characters without a picture: Unicode's default-ignorable letters and marks, and blanks."""
WITHOUT_SCRIPT = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""Scripts that one name may mix: UTS 39, section 5.2, "highly restrictive"."""
FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
DIRECTION = "\u200e"
"""Mark that the data have around right-to-left characters, for display alone."""


def person_name(text: str) -> str:
    """Return a person's name as it is recorded: NFC, with single spaces.

    Args:
        text: The name as it was given.

    Returns:
        The name.

    Raises:
        InvalidInput: The name is empty or too long, holds invisible characters, or mixes scripts.
    """
    name = re.sub(" +", " ", unicodedata.normalize("NFC", text)).strip(" ")
    if not (0 < len(name) <= LONGEST and name.isprintable()):
        raise InvalidInput(f"expected person to be 1 to {LONGEST} printable characters, got {len(text)}")
    if IGNORABLE.search(name):
        raise InvalidInput("expected a person's name without invisible characters, got some: type it again")
    if unicodedata.category(name[0]).startswith("M"):
        raise InvalidInput("expected a person's name that begins with a letter, got a combining mark")
    if not _one_script(name):
        raise InvalidInput(
            "expected a person's name in one script, got letters of several: letters of two scripts look alike"
        )
    return name


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


def _one_script(name: str) -> bool:
    scripts = {_script(character) for character in name} - WITHOUT_SCRIPT
    return len(scripts) <= 1 or any(scripts <= together for together in TOGETHER)


def _script(character: str) -> str:
    found: str | None = categories.alias(character)
    return found or "UNKNOWN"


def _without_loose_marks(text: str) -> str:
    """Remove the marks that no composed letter holds and that do not belong to their letter's script."""
    kept: list[str] = []
    base = "UNKNOWN"
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) not in {"Mn", "Me"}:
            base = _script(character)
        elif _script(character) != base:
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
