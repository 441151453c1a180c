"""SQL of ended sessions."""

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select

from byline_service.accounts.sessions import Session
from byline_service.database import Connection
from byline_service.database.tables.accounts import ended_sessions


async def is_ended(transaction: Connection, session_id: str) -> bool:
    """Return whether a session was ended before its time."""
    chosen = select(ended_sessions.c.id).where(ended_sessions.c.id == session_id)
    return (await transaction.execute(chosen)).first() is not None


async def end(transaction: Connection, session: Session) -> bool:
    """End a session.

    Returns:
        Whether it was open before.
    """
    if await is_ended(transaction, session.id):
        return False
    last = datetime.fromtimestamp(session.end, UTC)
    await transaction.execute(insert(ended_sessions).values(id=session.id, expires_at=last))
    return True


async def forget(transaction: Connection, now: datetime) -> None:
    """Delete the sessions that have expired since: their cookies are refused without the database."""
    await transaction.execute(delete(ended_sessions).where(ended_sessions.c.expires_at < now))
