"""Facts about an opened index, for people: shown by `repr` and in notebooks."""

from collections.abc import Sequence

from byline.index.index import AttributionIndex
from byline.members import Member


def index_facts(index: AttributionIndex, members: Sequence[Member]) -> list[tuple[str, str]]:
    """List the facts that tell one index from another.

    Args:
        index: The opened index.
        members: Its ensemble.

    Returns:
        Pairs of (name, value).
    """
    rows = f"{index.rows:,}" if index.groups is None else f"{index.rows:,} groups of {index.points:,} points"
    return [
        ("version", index.fingerprint.version),
        ("recipe", index.recipe.name),
        ("training points", rows),
        ("numbers a point", f"{index.width:,}"),
        ("members", f"{len(members)}"),
        ("folder", str(index.path)),
    ]
