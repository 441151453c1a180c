"""Every change of a small index is refused with an error that names the file."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from byline.errors import CorruptIndex, UnusableIndex
from byline.index import verification
from byline.index.index import AttributionIndex
from byline.index.layout import MANIFEST
from byline.index.manifest import read_manifest
from byline.index.verification import DigestCache, verify
from byline.index.writer import write_index
from byline.search.recall import measure_recall
from tests.byline.index.building import contents_of, heavy_tailed


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "v"
    return write_index(
        contents_of(heavy_tailed(12, 6), widths=(4, 2), search="compressed"),
        path,
        measure_recall=measure_recall,
    )


@pytest.fixture
def index(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "v"))


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@contextmanager
def flipped(path: Path, position: int) -> Iterator[None]:
    """Flip one bit of one byte, in place.

    Yields:
        Nothing; afterwards the file is as it was.
    """
    with path.open("r+b", buffering=0) as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ (1 << position % 8)]))
        yield
        file.seek(position)
        file.write(bytes([byte]))


def bytes_of(root: Path) -> list[tuple[Path, int]]:
    return [(path, position) for path in files(root) for position in range(path.stat().st_size)]


def test_every_flipped_byte_is_found(index: Path) -> None:
    """By the file that holds it: its digest, or the form and the digest of the manifest."""
    records = read_manifest(index).files
    for path, position in bytes_of(index):
        name = path.relative_to(index).as_posix()
        with flipped(path, position):
            if name == MANIFEST:
                with pytest.raises(CorruptIndex, match="manifest"):
                    read_manifest(index)
            else:
                assert verification.sha256_of(path) != records[name].sha256, (name, position)
    assert set(records) | {MANIFEST} == {path.relative_to(index).as_posix() for path in files(index)}
    assert verify(index).intact


def test_an_index_with_a_flipped_byte_is_not_opened(index: Path) -> None:
    """200 bytes, spread evenly over the files of the index, with a byte of each file among them."""
    places = bytes_of(index)
    chosen = [places[n * len(places) // 200] for n in range(200)]
    chosen += [(path, path.stat().st_size // 2) for path in files(index)]
    for path, position in chosen:
        with flipped(path, position):
            with pytest.raises(CorruptIndex) as caught:
                AttributionIndex.open(index)
            assert path.name in str(caught.value)
            assert [finding.path for finding in verify(index).findings] == [
                path.relative_to(index).as_posix()
            ]
    AttributionIndex.open(index).close()


@pytest.mark.parametrize("check_digests", [True, False])
def test_truncated_and_longer_files_are_found(index: Path, check_digests: bool) -> None:
    for path in files(index):
        content = path.read_bytes()
        for changed in (content[:-1], content[: len(content) // 2], b"", content + b"\0"):
            if changed == content:
                continue
            path.write_bytes(changed)
            with pytest.raises(CorruptIndex, match=path.name):
                AttributionIndex.open(index, verify=check_digests)
        path.write_bytes(content)
    AttributionIndex.open(index).close()


def test_missing_files_are_found(index: Path) -> None:
    for path in files(index):
        if path.name == "manifest.json":
            continue
        aside = path.rename(index.parent / "aside")
        with pytest.raises(CorruptIndex, match=path.name):
            AttributionIndex.open(index, verify=False)
        aside.rename(path)


def test_files_besides_are_found(index: Path) -> None:
    for name in ("stray.npy", "vectors/00009.npy", ".hidden", "more/deep.bin"):
        stray = index / name
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"x")
        with pytest.raises(CorruptIndex, match=stray.name):
            AttributionIndex.open(index)
        stray.unlink()


def test_links_are_no_files(index: Path) -> None:
    target = index / "search.faiss"
    moved = target.rename(index.parent / "search.faiss")
    target.symlink_to(moved)
    with pytest.raises(CorruptIndex, match=r"search\.faiss: is not a plain file"):
        AttributionIndex.open(index)


def test_an_empty_directory_and_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises((UnusableIndex, LookupError)):
            AttributionIndex.open(path)


def test_a_report_lists_everything(index: Path) -> None:
    assert verify(index).intact
    (index / "columns/self_influence.npy").unlink()
    (index / "stray").write_bytes(b"x")
    shard = index / "vectors/00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x55")
    seen: list[tuple[str, int, int]] = []
    report = verify(index, lambda *step: seen.append(step))
    assert {finding.path for finding in report.findings} == {
        "columns/self_influence.npy",
        "stray",
        "vectors/00000.npy",
    }
    assert not report.intact
    assert seen[-1] == ("verify", report.size, report.size)
    (index / "manifest.json").write_bytes(b"{}")
    assert [finding.path for finding in verify(index).findings] == ["manifest.json"]


def test_a_cached_digest_spares_the_second_read(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "digests.json"
    reads: list[Path] = []
    original = verification.sha256_of
    monkeypatch.setattr(verification, "sha256_of", lambda path: (reads.append(path), original(path))[1])
    AttributionIndex.open(index, digest_cache=cache).close()
    first = len(reads)
    AttributionIndex.open(index, digest_cache=cache).close()
    assert (first, len(reads)) == (len(files(index)) - 1, first)
    path = index / "search.faiss"
    content = path.read_bytes()
    before = path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CorruptIndex, match=r"search\.faiss"):
        AttributionIndex.open(index, digest_cache=cache)
    assert not verify(index).intact


@pytest.mark.parametrize("junk", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": []}', b"\xff"])
def test_a_broken_cache_is_ignored(index: Path, tmp_path: Path, junk: bytes) -> None:
    cache = tmp_path / "digests.json"
    cache.write_bytes(junk)
    AttributionIndex.open(index, digest_cache=cache).close()
    assert DigestCache(cache).sha256(index / "search.faiss") == verification.sha256_of(index / "search.faiss")


def test_nothing_is_written_beside_a_lone_version(index: Path) -> None:
    AttributionIndex.open(index).close()
    assert [path.name for path in index.parent.iterdir()] == ["v"]
