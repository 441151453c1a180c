"""Files of a served version that change: a real server refuses them, tells so, and does not die."""

import shutil
from types import SimpleNamespace

import pytest

from byline.errors import CorruptIndex
from byline.index.manifest import read_manifest
from byline_service.versions.mapped_files import MappedFiles
from tests.service.versions.test_process import VERSIONS, environment, serving, until

__all__ = ["environment"]
EXAMPLES = "/v1/indexes/tiny/self-influence"


@pytest.fixture
def mapped(index):
    folder = index.path / index.a
    files = read_manifest(folder).files
    largest = max(files, key=lambda name: files[name].size)
    return SimpleNamespace(files=MappedFiles(folder, files), largest=folder / largest, name=largest)


def test_a_file_that_is_cut_off_is_told_and_one_that_is_replaced_is_not(mapped):
    mapped.files.require_whole()
    whole = mapped.largest.read_bytes()
    other = mapped.largest.with_name("other")
    other.write_bytes(whole[:10])
    kept = mapped.largest.with_name("kept")
    mapped.largest.rename(kept)
    mapped.files.require_whole()
    other.rename(mapped.largest)
    mapped.files.require_whole()
    kept.rename(mapped.largest)
    with mapped.largest.open("r+b") as file:
        file.truncate(len(whole) - 1)
    with pytest.raises(CorruptIndex, match=f"{mapped.name}: has {len(whole) - 1} bytes"):
        mapped.files.require_whole()


def current(index):
    return index.path / (index.path / "current").read_text().strip()


def largest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def damaged(client, version):
    """Whether the version is out of service, and everybody is told."""
    told = client.get("/readyz")
    if told.status_code == 200:
        return False
    assert told.json()["type"] == "urn:byline:problem:unusable-index"
    assert client.get(EXAMPLES).json()["type"] == "urn:byline:problem:unusable-index"
    if client.get(f"{VERSIONS}/{version}").json()["state"] != "damaged":
        return False
    assert 'byline_unusable_total{index="tiny",state="damaged"} 1.0' in client.get("/metrics").text
    assert client.get("/livez").status_code == 200
    return True


def test_a_cut_off_file_ends_no_server(index, environment):
    folder = current(index)
    with serving(index, environment) as (process, client):
        assert client.get(EXAMPLES).status_code == 200
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "manifest.json":
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size // 2)
        for _ in range(3):
            assert client.get(EXAMPLES).status_code == 503
        until(lambda: damaged(client, folder.name))
        assert process.poll() is None


def test_changed_bytes_are_found_and_a_restored_version_is_served_again(index, environment, tmp_path):
    folder = current(index)
    shutil.copytree(folder, tmp_path / "whole")
    with serving(index, environment | {"BYLINE_SERVED_CHECK_SECONDS": "1"}) as (process, client):
        assert client.get(EXAMPLES).status_code == 200
        path = largest(folder)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
        until(lambda: damaged(client, folder.name))
        shutil.copyfile(tmp_path / "whole" / path.relative_to(folder), path)
        assert client.post(f"{VERSIONS}/{folder.name}/verify").is_success
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.get(EXAMPLES).status_code == 200
        assert process.poll() is None
