"""Owner labels: one spelling for each, so that one owner is paid once under one name."""

import re
import unicodedata
from collections import defaultdict

from byline.errors import InvalidInput
from byline.names.skeletons import IGNORABLE, skeletons

_NAMED = 3
"""Labels that a notice names at most."""


def owner_label(text: str) -> str | None:
    """Return an owner's label as indexes, keys and parties have it: NFC, with single spaces.

    Args:
        text: The label as it was given.

    Returns:
        The label. None if there are only spaces.

    Raises:
        InvalidInput: The label has control, format, direction or other invisible characters.
    """
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in text)
    label = re.sub(" +", " ", unicodedata.normalize("NFC", spaced)).strip(" ")
    unseen = next((each for each in label if not each.isprintable() or IGNORABLE.match(each)), None)
    if unseen is not None:
        raise InvalidInput(
            f"expected an owner's label without invisible characters, got one with U+{ord(unseen):04X}: remove it"
        )
    return label or None


class OwnerSpellings:
    """The spellings of owners that a data set has, to tell of those that are or look the same."""

    def __init__(self) -> None:
        self._spellings: dict[str, set[str]] = defaultdict(set)

    def label(self, given: str | None) -> str | None:
        """Return the label of an owner, and note its spelling.

        Raises:
            InvalidInput: The label has invisible characters.
        """
        label = given if given is None else owner_label(given)
        if label is not None and given is not None:
            self._spellings[label].add(given)
        return label

    def notices(self) -> list[str]:
        """Return a sentence about labels that became one, and one about labels that look alike."""
        joined = sorted(label for label, spellings in self._spellings.items() if len(spellings) > 1)
        looks: dict[str, set[str]] = defaultdict(set)
        for label in self._spellings:
            for each in skeletons(label):
                looks[each].add(label)
        alike = sorted({" / ".join(sorted(labels)) for labels in looks.values() if len(labels) > 1})
        found = []
        if joined:
            found.append(
                f"owners with several spellings (spaces, Unicode forms), each one owner now ({len(joined)}): {_few(joined)}"
            )
        if alike:
            found.append(
                f"owners that look alike, and stay apart ({len(alike)}): {_few(alike)}; correct Example.owner, or "
                "record one party with both labels"
            )
        return found


def _few(labels: list[str]) -> str:
    return ", ".join(labels[:_NAMED]) + (", …" if len(labels) > _NAMED else "")
