"""Accounts for tests: a folder with a migrated SQLite file and one admin key in it, copied from a template."""

import asyncio
import re
import tempfile
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from byline.api.accounts import Scope
from byline_service.accounts import audit, key_management, key_queries
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import digest_key, parse_key
from byline_service.accounts.sessions import COOKIE, write_session
from byline_service.database import Database, migrate
from byline_service.database.engine import sqlite_url
from byline_service.settings import Settings

SECRET = "a secret of the tests, long enough"  # noqa: S105 - of nothing that lasts


def prepared(folder, **settings) -> Settings:
    """Settings of a service whose data folder has a key already; `admin_key()` is its text."""
    folder.mkdir(parents=True, exist_ok=True)
    if "database_url" not in settings:
        (folder / "byline.sqlite").write_bytes(_template()[0])
    return Settings(data_dir=folder, **({"secret": SECRET} | settings))


def admin_key() -> str:
    """The admin key of every prepared folder."""
    return _template()[1]


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


async def make_key(database, scopes=("admin",), owners=None, person="tester", **more) -> str:
    """Make a key and return its text."""
    wanted = key_management.NewKey(
        name="test",
        person=person,
        scopes=frozenset(Scope(each) for each in scopes),
        owners=None if owners is None else frozenset(owners),
        **more,
    )
    async with database.begin() as transaction:
        return (await key_management.create(transaction, OPERATOR, wanted, SECRET.encode())).text


@cache
def _template() -> tuple[bytes, str]:
    async def make(path: Path) -> str:
        database = Database(sqlite_url(path))
        key = await make_key(database)
        await database.dispose()
        return key

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.sqlite"
        path.write_bytes(empty_sqlite())
        key = asyncio.run(make(path))
        return path.read_bytes(), key


@cache
def empty_sqlite() -> bytes:
    """A SQLite file at the newest revision, with nothing in it."""

    async def make(path: Path) -> None:
        database = Database(sqlite_url(path))
        await migrate.upgrade(database)
        await database.dispose()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite"
        asyncio.run(make(path))
        return path.read_bytes()


async def add_admin(database) -> None:
    """Make the admin key of the prepared folders known to another database."""
    key = parse_key(admin_key())
    stored = StoredKey(
        id=key.id,
        name="test",
        person="tester",
        digest=digest_key(key, SECRET.encode()),
        scopes=frozenset({Scope.ADMIN}),
        owners=None,
        requests_per_minute=None,
        queries_per_minute=None,
        replaces=None,
        made_by=OPERATOR.person,
        made_by_key=None,
        created_at=datetime.now(UTC),
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
    )
    async with database.begin() as transaction:
        if await key_queries.find(transaction, key.id) is None:
            await key_queries.add(transaction, stored)
            await audit.record(transaction, OPERATOR, "keys.create", key.id)


def printed_key(output) -> str:
    """The first key, in what `byline serve` prints after its address."""
    line = output.readline()
    assert line.startswith("Key, shown this once: byl_"), line
    return line.split(": ")[1].strip()


def sign_in(client, key, **headers):
    """Sign a client in as the login page does; more headers replace those of a browser."""
    shown = client.get("/login")
    token = re.search(r'data-token="([0-9a-f]+)"', shown.text)
    body = {"key": key, "token": token[1] if token else ""}
    return client.post("/login", json=body, headers={"origin": "http://localhost"} | headers)


def session_cookie(address: str, key: str | None = None) -> dict[str, str]:
    """The cookie of a browser that signed in with a key, or the admin's, as Playwright takes it."""
    value = write_session(parse_key(key or admin_key()).id, time.time(), SECRET.encode())
    return {"name": COOKIE, "value": value, "url": address}
