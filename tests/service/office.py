"""A rights manager's office: a service over books of two months. March is posted, and April waits for its approval."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from byline_service.app import create_app
from byline_service.database.engine import sqlite_url
from tests.service.books import Books
from tests.service.databases import UsedDatabase
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, make_key, prepared
from tests.service.ledger_clock import LedgerClock

OWNERS = ("Ana & Söhne", "Boris <Studio>", "Владимир", "owner 1", "owner 2")
SCORES = {
    "Ana & Söhne": (40, 44, 42),
    "Boris <Studio>": (30, 20, 25),
    "Владимир": (9, 11, 10),
    "owner 1": (6, 5, 7),
    "owner 2": (-5, -4, -6),
}


def keep(books):
    """Keep the books: a posted run of March, and a draft of April.

    Args:
        books: Books that begin in March 2026.

    Returns:
        The ids of both runs.
    """
    books.policy(pool=100_000, floor=6_000)
    for _ in range(2):
        books.book(SCORES, index="fake")
    march = books.draft()
    books.posted(march)
    books.book(SCORES, index="fake")
    april = books.draft()
    return SimpleNamespace(march=march, april=april)


@contextmanager
def opened(folder, keep=keep, **settings):
    """Keep books in a folder, then open an application over them.

    Args:
        folder: The data folder.
        keep: Keeps the books.
        **settings: Further settings of the service.

    Yields:
        The application, the books' results as `runs`, the open books and `key_for`.
    """
    chosen = prepared(folder, log_level="error", **settings)
    used = UsedDatabase(sqlite_url(folder / "byline.sqlite"))
    with pytest.MonkeyPatch.context() as patched:
        books = Books(used, LedgerClock(patched))
        runs = keep(books)

        def key_for(**wanted):
            return used.run(lambda database: make_key(database, **wanted))

        app = create_app(chosen, {"fake": fake_attributor()[0]})
        try:
            yield SimpleNamespace(app=app, runs=runs, books=books, key_for=key_for)
        finally:
            used.close()


@contextmanager
def office(folder, keep=keep, **settings):
    """Open an application over kept books, with a client that carries the admin's key.

    Args:
        folder: The data folder.
        keep: Keeps the books.
        **settings: Further settings of the service.

    Yields:
        As `opened`, with `client` and `client_of(**key)`.
    """
    with opened(folder, keep, **settings) as found:
        client = TestClient(
            found.app, base_url="http://localhost", raise_server_exceptions=False, headers=bearer(admin_key())
        )
        with client:
            found.client = client
            found.get = lambda path, key=None: client.get(
                path, headers=bearer(key) if key else {}, follow_redirects=False
            )
            yield found
