"""Connections and transactions on SQLite and PostgreSQL, and the translation of their errors."""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from byline.errors import BylineError, DatabaseUnavailable, DiskFull, InvalidInput, InvalidQuery

Connection = AsyncConnection
"""A connection within a transaction, as every query function takes it."""

BUSY_SECONDS = 10
"""Seconds that a SQLite transaction waits for the one of another process."""
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
READING, MIGRATING = "byline_reading", "byline_migrating"
_ALONE = ("SET LOCAL statement_timeout = 0", "SELECT pg_advisory_xact_lock(108177345965669)")
"""Statements before a PostgreSQL migration: no time limit, and a lock for one migration at a time."""
_MEANT = (SQLAlchemyError, OSError, OverflowError)
"""Errors of database drivers. SQLite's raises OverflowError for an integer of more than 64 bits."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+psycopg")


def database_url(text: str) -> URL:
    """Parse the URL of a database.

    Args:
        text: `sqlite:///path`, or `postgresql://user:password@host/name`.

    Returns:
        The URL with the driver that Byline uses.

    Raises:
        InvalidInput: The URL has another scheme.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise InvalidInput("expected database_url to be sqlite:///… or postgresql://…") from None
    if url.drivername in _POSTGRES_NAMES:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+aiosqlite"} and url.database:
        return url.set(drivername="sqlite+aiosqlite")
    raise InvalidInput("expected database_url to be sqlite:///… or postgresql://…, got another kind")


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


class Database:
    """A database. It connects when its first transaction begins.

    SQLite has one writing transaction at a time, and each is on the disk when it is committed (write-ahead log,
    `synchronous=FULL`). Readers never wait. A transaction must not begin another one.

    Args:
        url: `sqlite:///path`, or `postgresql://…`.
        pool_size: Number of connections that are kept open.
    """

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.url = database_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self.url, pool_size) if self.is_sqlite else _postgresql(self.url, pool_size)
        self.on_failure: Callable[[str], None] = lambda _: None
        # PostgreSQL's default isolation would show each statement of a transaction another state.
        of_one_moment = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self.engine.execution_options(**{READING: True}, **of_one_moment)
        self._writing: AbstractAsyncContextManager[Any] = asyncio.Lock() if self.is_sqlite else nullcontext()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """Begin a transaction that may write. It is committed at the end and rolled back on any exception.

        Yields:
            The connection of the transaction.

        Raises:
            DatabaseUnavailable: The database does not answer, or was not migrated.
            DiskFull: The disk is full. Nothing was written.
            InvalidQuery: The database cannot hold a value. Nothing was written.
        """
        async with self._writing:
            try:
                async with self.engine.begin() as connection:
                    yield connection
            except _MEANT as error:
                raise self._translate_error(error) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """Begin a read-only transaction, which sees one state of the database.

        Yields:
            The connection of the transaction.

        Raises:
            DatabaseUnavailable: The database does not answer, or was not migrated.
            InvalidQuery: The database cannot hold a value of the query, so no row has it.
        """
        try:
            async with self._reading.connect() as connection:
                yield connection
        except _MEANT as error:
            raise self._translate_error(error) from error

    @asynccontextmanager
    async def migration(self) -> AsyncIterator[Connection]:
        """Begin a transaction that may change tables. One process holds it at a time. Foreign keys are checked at its end.

        Yields:
            The connection of the transaction.

        Raises:
            DatabaseUnavailable: The database does not answer.
            DiskFull: The disk is full. Nothing was changed.
        """
        async with self._writing:
            try:
                async with self.engine.connect() as plain:
                    connection = await plain.execution_options(**{MIGRATING: True})
                    async with connection.begin():
                        for statement in () if self.is_sqlite else _ALONE:
                            await connection.exec_driver_sql(statement)
                        yield connection
                        await self._check_foreign_keys(connection)
                    await connection.invalidate()  # foreign keys are off on this connection
            except (SQLAlchemyError, OSError) as error:
                raise self._translate_error(error) from error

    async def _check_foreign_keys(self, connection: Connection) -> None:
        if self.is_sqlite:
            broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first()
            assert broken is None, "a migration broke a foreign key"

    def _translate_error(self, error: Exception) -> BylineError:
        found = translate_error(error)
        if isinstance(found, DatabaseUnavailable | DiskFull):
            self.on_failure("full" if isinstance(found, DiskFull) else "unavailable")
        return found

    async def dispose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _sqlite(url: URL, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    """Leave transactions to `_begin_sqlite`: Python's driver begins them late, and not for DDL."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: SyncConnection) -> None:
    """Take the lock of a writing transaction at once: a transaction that takes it later can only fail."""
    options = connection.get_execution_options()
    if MIGRATING in options:  # a rewritten table is dropped first, which works only outside a transaction
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN" if READING in options else "BEGIN IMMEDIATE")


def _postgresql(url: URL, pool_size: int) -> AsyncEngine:
    milliseconds = STATEMENT_SECONDS * 1000
    return create_async_engine(
        url,
        pool_size=pool_size,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_SECONDS, "options": f"-c statement_timeout={milliseconds}"},
    )


def translate_error(error: Exception) -> BylineError:
    """Translate an error of a driver. An error of the statement itself is raised unchanged.

    Raises:
        Exception: The statement is wrong, such as one that breaks a constraint.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.DataError | OverflowError):
        return InvalidQuery("expected text without zero characters, and integers of at most 64 bits")
    if _is_full(cause):
        return DiskFull("the database's disk is full: nothing was written")
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return DatabaseUnavailable(
            "the database file is damaged or not a SQLite file: restore it from a backup"
        )
    if isinstance(error, PoolTimeoutError | OSError) or _is_gone(error, cause):
        return DatabaseUnavailable("the database does not answer or is not migrated: try again later")
    raise error


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(cause, psycopg.errors.DiskFull) or getattr(cause, "errno", None) == errno.ENOSPC


def _is_gone(error: Exception, cause: BaseException | None) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return True  # a table is missing: the database is not migrated yet
    return isinstance(cause, sqlite3.OperationalError | psycopg.OperationalError | psycopg.InterfaceError)
