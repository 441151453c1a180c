"""Rights tables as CSV: one row a line, with the columns `owner,right,party,share,from,to`.

Every wrong line is told with its number, before anything is stored.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date

from pydantic import ValidationError

from byline.errors import InvalidInput
from byline_service.compensation.parties import required_label
from byline_service.compensation.rights import RightsRow, over_claims, require_claimable, row_order

COLUMNS = ("owner", "right", "party", "share", "from", "to")
_TOLD = 10
"""Wrong lines that an error tells at most."""


def parse_rights(text: str, labels: Mapping[str, str]) -> tuple[RightsRow, ...]:
    """Read the rows of a rights table.

    Args:
        text: The CSV, with a header.
        labels: Label of each party -> name of the party.

    Returns:
        The rows, sorted.

    Raises:
        InvalidInput: The header or a line is wrong, a party is not recorded, or a right is over-claimed. The message names
            the lines.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InvalidInput(f"expected the columns {','.join(COLUMNS)} in the first line, got others")
    rows, lines, wrong = [], [], []
    for fields in reader:
        try:
            rows.append(_row(fields, labels))
            lines.append(reader.line_num)
        except InvalidInput as error:
            wrong.append(f"line {reader.line_num}: {error}")
    if not wrong:
        wrong = [*_repeated(rows, lines), *_claimed(rows, lines)]
    if wrong:
        more = f"; {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise InvalidInput("; ".join(wrong[:_TOLD]) + more)
    require_claimable(rows)
    return tuple(sorted(rows, key=row_order))


def write_rights(rows: Sequence[RightsRow]) -> str:
    """Write rows as CSV that `parse_rights` reads."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (row.owner, row.right, row.party, row.share, row.since or "", row.until or "") for row in rows
    )
    return written.getvalue()


def _row(fields: Mapping[str | None, str | None], labels: Mapping[str, str]) -> RightsRow:
    if None in fields or None in fields.values():
        raise InvalidInput(f"expected {len(COLUMNS)} fields, got another number")
    owner, right, party, share, since, until = (str(fields[name]).strip(" ") for name in COLUMNS)
    known = labels.get(required_label(party))
    if known is None:
        raise InvalidInput("expected the label of a recorded party, got another: record the party first")
    try:
        row = RightsRow.model_validate(
            {
                "owner": required_label(owner),
                "right": right,
                "party": known,
                "share": int(share) if share.isascii() and share.isdigit() else share,
                "since": _day(since),
                "until": _day(until),
            }
        )
    except ValidationError as error:
        column = {"since": "from", "until": "to"}.get(name := str(error.errors()[0]["loc"][0]), name)
        raise InvalidInput(f"expected another value of `{column}`: {error.errors()[0]['msg']}") from None
    if row.since and row.until and row.until < row.since:
        raise InvalidInput("expected a last day (`to`) that is not before the first one (`from`)")
    return row


def _day(text: str) -> str | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidInput("expected days as 2026-03-31, got another form") from None


def _repeated(rows: Sequence[RightsRow], lines: Sequence[int]) -> list[str]:
    first: dict[RightsRow, int] = {}
    return [
        f"line {line}: expected a row that differs from line {first[row]}, got the same"
        for row, line in zip(rows, lines, strict=True)
        if first.setdefault(row, line) != line
    ]


def _claimed(rows: Sequence[RightsRow], lines: Sequence[int]) -> list[str]:
    return [
        f"lines {', '.join(str(lines[place]) for place in each.rows)}: expected at most 1000000 millionths of one right "
        f"of an owner, got {each.claimed}" + (f" on {each.day}" if each.day else "")
        for each in over_claims(rows)
    ]
