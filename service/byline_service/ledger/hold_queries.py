"""SQL of holds and disputes."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import RowMapping, Select, func, insert, or_, select

from byline.api.holds import HoldState, Subject
from byline.errors import NotFound
from byline_service.compensation.holds import Act, Hold, HoldBook
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.compensation import hold_ends, holds

Row = Mapping[str, Any]


async def add(transaction: Connection, hold: Hold) -> None:
    """Add a placed hold."""
    await transaction.execute(insert(holds).values(hold_row(hold)))


async def add_end(transaction: Connection, hold: Hold) -> None:
    """Add the end of a hold."""
    await transaction.execute(insert(hold_ends).values(end_row(hold)))


async def find(transaction: Connection, hold_id: str) -> Hold:
    """Return a hold.

    Raises:
        NotFound: There is no hold of this id.
    """
    row = (await transaction.execute(_chosen().where(holds.c.id == hold_id))).mappings().first()
    if row is None:
        raise NotFound("expected the id of a hold, got another one")
    return _hold(row)


async def page(
    transaction: Connection, before: int | None, limit: int, state: HoldState | None = None
) -> list[Hold]:
    """Return holds, the newest first.

    Args:
        transaction: An open transaction.
        before: Only holds older than this sequence.
        limit: Most holds to return.
        state: Only holds that are in force, or only those that have ended.
    """
    chosen = _chosen().order_by(holds.c.sequence.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(holds.c.sequence < before)
    if state is not None:
        over = hold_ends.c.sequence.is_not(None)
        chosen = chosen.where(over if state == "ended" else ~over)
    return [_hold(row) for row in (await transaction.execute(chosen)).mappings()]


async def restrictions(transaction: Connection, basis: int) -> list[Restriction]:
    """Return the effects of the holds that are in force after a record, in the order of placement.

    Args:
        transaction: An open transaction.
        basis: Sequence of the record.
    """
    chosen = _chosen().where(
        holds.c.sequence <= basis, or_(hold_ends.c.sequence.is_(None), hold_ends.c.sequence > basis)
    )
    rows = (await transaction.execute(chosen.order_by(holds.c.sequence))).mappings()
    return [_hold(row).restriction() for row in rows]


async def ended_between(transaction: Connection, since: str, basis: int) -> int:
    """Count the holds that ended from a time on, up to a record."""
    chosen = select(func.count()).where(
        hold_ends.c.at >= parse_timestamp(since), hold_ends.c.sequence <= basis
    )
    return int((await transaction.execute(chosen)).scalar_one())


def hold_row(hold: Hold) -> Row:
    """Return the row of a hold's placement."""
    subject = hold.subject
    return {
        "id": hold.id,
        "owner": subject.owner,
        "index_name": subject.index,
        "work": subject.work,
        "nature": hold.nature,
        **_act_columns(hold.placed),
    }


def end_row(hold: Hold) -> Row:
    """Return the row of a hold's end."""
    assert hold.ended is not None
    return {"hold_id": hold.id, **_act_columns(hold.ended)}


def expected_holds(book: HoldBook) -> Iterable[Row]:
    """Derive the rows of all placements."""
    return (hold_row(hold) for hold in book.holds.values())


def expected_ends(book: HoldBook) -> Iterable[Row]:
    """Derive the rows of all ends."""
    return (end_row(hold) for hold in book.holds.values() if hold.ended is not None)


def _act_columns(act: Act) -> Row:
    return {
        "sequence": act.sequence,
        "person": act.person,
        "at": parse_timestamp(act.at),
        "reason": act.reason,
    }


def _chosen() -> Select[Any]:
    ends = [hold_ends.c[name].label(f"end_{name}") for name in ("sequence", "person", "at", "reason")]
    return select(holds, *ends).outerjoin(hold_ends, hold_ends.c.hold_id == holds.c.id)


def _hold(row: RowMapping) -> Hold:
    return Hold(
        id=row["id"],
        subject=Subject(owner=row["owner"], index=row["index_name"], work=row["work"]),
        nature=row["nature"],
        placed=_act(row, ""),
        ended=None if row["end_sequence"] is None else _act(row, "end_"),
    )


def _act(row: RowMapping, prefix: str) -> Act:
    return Act(
        sequence=row[f"{prefix}sequence"],
        person=row[f"{prefix}person"],
        at=timestamp_text(row[f"{prefix}at"]),
        reason=row[f"{prefix}reason"],
    )
