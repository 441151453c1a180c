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
def run(database):
    """Runs an async function over an empty database, on SQLite and on PostgreSQL."""
    return database.run
