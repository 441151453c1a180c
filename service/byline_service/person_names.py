"""Names of persons: what a name may hold. Names that people cannot tell apart are one."""

import re
import unicodedata

from byline.errors import InvalidInput
from byline.names.skeletons import IGNORABLE, script_of

LONGEST = 100
WITHOUT_SCRIPT = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""Scripts that one name may mix: UTS 39, section 5.2, "highly restrictive"."""


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


def _one_script(name: str) -> bool:
    scripts = {script_of(character) for character in name} - WITHOUT_SCRIPT
    return len(scripts) <= 1 or any(scripts <= together for together in TOGETHER)
