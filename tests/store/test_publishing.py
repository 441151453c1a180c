"""A version appears at one moment, whole; the pointer is the old one or the new one."""

import shutil
from pathlib import Path

import pytest

from byline.errors import CorruptIndex, NotFound
from byline.store.index import AttributionIndex
from byline.store.publishing import current_version, point, publish
from byline.store.writer import write_index
from tests.store.building import contents_of, heavy_tailed


def write(place: Path, seed: int = 0) -> Path:
    return write_index(contents_of(heavy_tailed(20, 4, seed=seed)), place)


def test_published_and_pointed_at(tmp_path: Path) -> None:
    version = publish(write(tmp_path / ".work"), tmp_path / "abc123")
    assert not (tmp_path / ".work").exists()
    with pytest.raises(NotFound, match="no index has been published"):
        current_version(tmp_path)
    point(tmp_path, "abc123")
    assert current_version(tmp_path) == "abc123"
    with AttributionIndex.open(tmp_path) as index:
        assert index.path == version
        assert index.version == index.fingerprint.hex[:12]
    assert {path.name for path in tmp_path.iterdir()} == {"abc123", "current", ".digests.json"}


def test_an_intact_version_stays_and_a_broken_one_is_replaced(tmp_path: Path) -> None:
    first = publish(write(tmp_path / ".work"), tmp_path / "v")
    inode = (first / "manifest.json").stat().st_ino
    publish(write(tmp_path / ".work"), tmp_path / "v")
    assert (first / "manifest.json").stat().st_ino == inode
    assert not (tmp_path / ".work").exists()
    (first / "search.faiss").write_bytes(b"")
    publish(write(tmp_path / ".work"), tmp_path / "v")
    AttributionIndex.open(tmp_path / "v").close()
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_an_unfinished_directory_is_not_published(tmp_path: Path) -> None:
    work = write(tmp_path / ".work")
    (work / "manifest.json").unlink()
    with pytest.raises(CorruptIndex):
        publish(work, tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_pointing_at_nothing(tmp_path: Path) -> None:
    for name in ("missing", "../..", "", "/etc"):
        with pytest.raises(NotFound):
            point(tmp_path, name)
    publish(write(tmp_path / ".work"), tmp_path / "v")
    point(tmp_path, "v")
    shutil.rmtree(tmp_path / "v")
    with pytest.raises(NotFound, match="current version"):
        AttributionIndex.open(tmp_path)


@pytest.mark.parametrize("junk", [b"", b"../v\n", b"\xff\n", b"v\nv\n"])
def test_a_broken_pointer_names_itself(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "current").write_bytes(junk)
    with pytest.raises(CorruptIndex, match="current"):
        AttributionIndex.open(tmp_path)


def test_a_version_moves_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "v")
    AttributionIndex.open(tmp_path / "elsewhere" / "v").close()
