"""Names of indexes, versions and aliases: never paths."""

import re

from byline.errors import InvalidInput

PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""A name."""
AFTER = r"^[a-z0-9._-]{0,64}$"
"""A name, or nothing: the first page of a list."""
NAME = re.compile(PATTERN)


def check_name(kind: str, name: str) -> None:
    """Refuse what is no name.

    Args:
        kind: What it should name, for people.
        name: What came.

    Raises:
        InvalidInput: It does not match; the message does not repeat it.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"expected {kind} like {NAME.pattern}, got another of {len(name)} characters")
