"""SQL of quota windows that replicas share: one atomic statement per request."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from byline_service.database import Connection
from byline_service.database.tables.accounts import quota_windows as windows


async def take(
    transaction: Connection, name: str, cost: int, limit: int, now: datetime, length: timedelta
) -> tuple[bool, int, datetime]:
    """Take a cost from a window unless the limit would be passed. An expired window starts again.

    So does a window that ends later than two lengths from now: a clock was ahead and was put right. Replicas whose
    clocks differ by less than one length share windows nonetheless.

    Args:
        transaction: The open transaction.
        name: Name of the window.
        cost: The cost.
        limit: The most that the window may hold. `cost` is no larger.
        now: The current time.
        length: Length of a window.

    Returns:
        (whether the cost was taken, the content of the window, the end of the window).
    """
    make = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    first = make(windows).values(name=name, amount=cost, expires_at=now + length)
    over = _over(now, length)
    upsert = first.on_conflict_do_update(
        index_elements=[windows.c.name],
        set_={
            "amount": case((over, first.excluded.amount), else_=windows.c.amount + first.excluded.amount),
            "expires_at": case((over, first.excluded.expires_at), else_=windows.c.expires_at),
        },
        where=over | (windows.c.amount + cost <= limit),
    ).returning(windows.c.amount, windows.c.expires_at)
    taken = (await transaction.execute(upsert)).first()
    if taken is not None:
        return True, taken.amount, taken.expires_at
    found = select(windows.c.amount, windows.c.expires_at).where(windows.c.name == name)
    held = (await transaction.execute(found)).one()
    return False, held.amount, held.expires_at


async def forget(transaction: Connection, now: datetime, length: timedelta) -> None:
    """Delete expired windows."""
    await transaction.execute(delete(windows).where(_over(now, length)))


def _over(now: datetime, length: timedelta) -> ColumnElement[bool]:
    return or_(windows.c.expires_at <= now, windows.c.expires_at > now + 2 * length)
