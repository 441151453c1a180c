"""A version appears at one moment, whole; the pointer is the old one or the new one."""

import os
import re
import shutil
from pathlib import Path

import pytest

from byline.errors import CorruptIndex, NotFound
from byline.index import verification
from byline.index.index import AttributionIndex
from byline.index.publishing import current_version, point_to_version, publish
from byline.index.writer import write_index
from tests.byline.index.building import contents_of, heavy_tailed


def write(place: Path, seed: int = 0) -> Path:
    return write_index(contents_of(heavy_tailed(20, 4, seed=seed)), place)


def test_published_and_pointed_at(tmp_path: Path) -> None:
    version = publish(write(tmp_path / ".work"), tmp_path / "abc123")
    assert not (tmp_path / ".work").exists()
    with pytest.raises(NotFound, match="no index has been published"):
        current_version(tmp_path)
    point_to_version(tmp_path, "abc123")
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
    assert {path.name for path in tmp_path.iterdir()} == {"v", ".digests.json"}


def test_an_unfinished_directory_is_not_published(tmp_path: Path) -> None:
    work = write(tmp_path / ".work")
    (work / "manifest.json").unlink()
    with pytest.raises(CorruptIndex):
        publish(work, tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_pointing_at_nothing(tmp_path: Path) -> None:
    for name in ("missing", "../..", "", "/etc"):
        with pytest.raises(NotFound):
            point_to_version(tmp_path, name)
    publish(write(tmp_path / ".work"), tmp_path / "v")
    point_to_version(tmp_path, "v")
    shutil.rmtree(tmp_path / "v")
    with pytest.raises(CorruptIndex, match="current: is not the name of a version beside it"):
        AttributionIndex.open(tmp_path)


def test_every_flipped_byte_of_the_pointer_is_found(tmp_path: Path) -> None:
    publish(write(tmp_path / ".work"), tmp_path / "0a1b2c3d4e5f")
    point_to_version(tmp_path, "0a1b2c3d4e5f")
    pointer = tmp_path / "current"
    content = pointer.read_bytes()
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            pointer.write_bytes(flipped)
            with pytest.raises(CorruptIndex, match=re.escape(str(pointer))):
                AttributionIndex.open(tmp_path)
    for length in range(len(content)):
        pointer.write_bytes(content[:length])
        with pytest.raises(CorruptIndex, match=re.escape(str(pointer))):
            AttributionIndex.open(tmp_path)
    pointer.write_bytes(content)
    AttributionIndex.open(tmp_path).close()


def test_publishing_tells_how_far_it_is_and_spares_the_first_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = write(tmp_path / ".work")
    seen: list[tuple[str, int, int]] = []
    version = publish(work, tmp_path / "v", lambda *step: seen.append(step))
    assert seen[-1][0] == "verify"
    assert 0 < seen[0][1] < seen[-1][1] == seen[-1][2]
    point_to_version(tmp_path, "v")
    reads: list[Path] = []
    original = verification.sha256_of

    def counted(path: Path) -> str:
        reads.append(path)
        return original(path)

    monkeypatch.setattr(verification, "sha256_of", counted)
    AttributionIndex.open(tmp_path).close()
    assert not reads
    changed = version / "search.faiss"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x55")
    with pytest.raises(CorruptIndex, match=r"search\.faiss"):
        AttributionIndex.open(tmp_path)
    assert reads == [changed]


@pytest.mark.parametrize("junk", [b"", b"../v\n", b"\xff\n", b"v\nv\n"])
def test_a_broken_pointer_names_itself(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "current").write_bytes(junk)
    with pytest.raises(CorruptIndex, match="current"):
        AttributionIndex.open(tmp_path)


def test_a_version_moves_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "v")
    AttributionIndex.open(tmp_path / "elsewhere" / "v").close()


def test_what_killed_publications_left_is_swept(tmp_path: Path) -> None:
    for name in (".tmp-1-old", ".tmp-2-new"):
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / ".tmp-1-old", (0, 0))
    (tmp_path / ".v.broken").mkdir()
    (tmp_path / ".v.broken/search.faiss").write_bytes(b"")
    publish(write(tmp_path / ".work"), tmp_path / "v")
    assert {path.name for path in tmp_path.iterdir()} == {"v", ".digests.json", ".tmp-2-new"}
