"""Write an answer as pandas tables: one row a training point, one row an owner."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from byline.api.answer_parts import Attribution, OwnerShare
from byline.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

POINT_COLUMNS = (
    "direction",
    "rank",
    "row",
    "score",
    "standard_error",
    "low",
    "high",
    "id",
    "owner",
    "license",
    "label",
    "uri",
    "preview",
)
"""Columns of `points_table`. One more for each attribute of the examples, and for each member that was asked for."""
OWNER_COLUMNS = (
    "owner",
    "share",
    "share_standard_error",
    "share_low",
    "share_high",
    "score",
    "standard_error",
    "low",
    "high",
    "examples",
    "licenses",
)
"""Columns of `owners_table`."""


def points_table(proponents: Sequence[Attribution], opponents: Sequence[Attribution]) -> "pd.DataFrame":
    """Write the training points of an answer as a table.

    Args:
        proponents: Largest scores first.
        opponents: Smallest scores first.

    Returns:
        One row a training point, proponents first, with `POINT_COLUMNS`, the examples' attributes as
        `attributes.NAME` and the scores of members as `members.NAME`.

    Raises:
        InvalidInput: pandas is not installed.
    """
    ends = (("proponents", proponents), ("opponents", opponents))
    rows = [_point(direction, each) for direction, found in ends for each in found]
    return _frame(rows, POINT_COLUMNS)


def owners_table(owners: Sequence[OwnerShare]) -> "pd.DataFrame":
    """Write the owners' shares of an answer as a table.

    Args:
        owners: The shares, largest score first.

    Returns:
        One row an owner, largest score first, with `OWNER_COLUMNS`.

    Raises:
        InvalidInput: pandas is not installed.
    """
    return _frame([_owner(each) for each in owners], OWNER_COLUMNS)


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> "pd.DataFrame":
    try:
        import pandas as pd
    except ImportError as error:
        raise InvalidInput(
            "expected pandas to be installed, for a table: run pip install 'byline[notebook]'"
        ) from error
    found = dict.fromkeys(columns) | dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame(rows, columns=list(found))


def _point(direction: str, each: Attribution) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    example = each.example
    return {
        "direction": direction,
        "rank": each.rank,
        "row": each.row,
        "score": each.score,
        "standard_error": each.standard_error,
        "low": low,
        "high": high,
        "id": example.id,
        "owner": example.owner,
        "license": example.license,
        "label": example.label,
        "uri": example.uri,
        "preview": example.preview,
        **{f"attributes.{name}": value for name, value in example.attributes.items()},
        **{f"members.{name}": score for name, score in (each.members or {}).items()},
    }


def _owner(each: OwnerShare) -> dict[str, Any]:
    low, high = each.interval or (None, None)
    share_low, share_high = each.share_interval or (None, None)
    return {
        "owner": each.owner,
        "share": each.share,
        "share_standard_error": each.share_standard_error,
        "share_low": share_low,
        "share_high": share_high,
        "score": each.score,
        "standard_error": each.standard_error,
        "low": low,
        "high": high,
        "examples": each.examples,
        "licenses": ", ".join(each.licenses),
    }
