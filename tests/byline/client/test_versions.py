"""Versions and aliases through both clients, on a service that follows its directory."""

import shutil

import pytest

from byline.client import Conflict, NotFound
from byline_service.app import create_app
from tests.service.keys import admin_key, prepared
from tests.service.live import listening, until
from tests.service.versions.building import build_versions, directory


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    return folder, build_versions(folder)


@pytest.fixture
def versions(built, tmp_path):
    """A service over a copy of an index of two versions, of which it serves the first.

    Yields:
        Its address, and the versions' names.
    """
    original, names = built
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    lies_in = directory(folder, with_task=False)
    settings = prepared(tmp_path / "data", versions_poll_seconds=0.05)
    with listening(create_app(settings, {"tiny": lies_in.open(names[0])}, {"tiny": lies_in})) as url:
        yield url, names


def test_from_registered_to_served_and_back(twin, versions):
    url, (a, b) = versions
    client = twin(url, admin_key())
    until(lambda: [each.alias for each in client.aliases()] == ["tiny"])
    assert client.register_version("tiny", b) == client.register_version("tiny", b)
    client.verify_version("tiny", b)
    until(lambda: client.version("tiny", b).verifying is None)
    assert client.version("tiny", b).state == "verified"
    assert sorted(each.version for each in client.versions("tiny", page_size=1)) == sorted([a, b])
    with pytest.raises(Conflict):
        client.switch("tiny", "tiny", b, expected=b)
    assert client.switch("tiny", "tiny", b, expected=a).served == b
    assert client.index("tiny").version == b
    with pytest.raises(Conflict):
        client.retire_version("tiny", b)
    assert client.roll_back("tiny", expected=b).version == client.alias("tiny").version == a
    assert client.switch("stable", "tiny", b, expected=None).alias == "stable"
    assert client.index("stable").version == b
    client.delete_alias("stable", expected=b)
    with pytest.raises(NotFound):
        client.alias("stable")
    assert client.retire_version("tiny", b).state == "retired"
    actions = [each.action for each in client.alias_history("tiny", page_size=1)]
    assert actions == ["rollback", "switch", "create"]
