import shutil
from types import SimpleNamespace

import pytest

from tests.service.versions.building import build_versions


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
def run(tmp_path):
    """Runs an async function over an empty database."""
    import asyncio

    from service.database import Database, migrating
    from service.database.engine import sqlite_url

    def start(work):
        async def inside():
            database = Database(sqlite_url(tmp_path / "db.sqlite"))
            await migrating.upgrade(database)
            try:
                return await work(database)
            finally:
                await database.dispose()

        return asyncio.run(inside())

    return start
