"""The manifest is exactly what was written, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byline.errors import CorruptIndex, IncompatibleIndex
from byline.index.canonical_json import canonical_digest, canonical_json
from byline.index.index import AttributionIndex
from byline.index.layout import SCHEMA_VERSION
from byline.index.manifest import read_manifest, write_manifest
from byline.index.verification import verify
from byline.index.writer import write_index
from tests.byline.index.building import contents_of, heavy_tailed


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return write_index(contents_of(heavy_tailed(6, 3)), tmp_path / "v")


def rewrite(version: Path, change: dict[str, Any]) -> None:
    content = json.loads((version / "manifest.json").read_bytes())["content"] | change
    data = canonical_json({"content": content, "sha256": canonical_digest(content)})
    (version / "manifest.json").write_bytes(data)


def test_it_comes_back_as_it_was_written(version: Path) -> None:
    before = (version / "manifest.json").read_bytes()
    manifest = read_manifest(version)
    write_manifest(version, manifest)
    assert (version / "manifest.json").read_bytes() == before
    assert manifest.digest == json.loads(before)["sha256"]
    assert (manifest.width, manifest.rows) == (3, 6)


@pytest.mark.parametrize("change", [{"schema_version": 4}, {"novelty": 1}, {"rows": 0}])
def test_other_formats_are_incompatible_not_corrupt(version: Path, change: dict[str, Any]) -> None:
    rewrite(version, change)
    with pytest.raises(IncompatibleIndex, match=r"manifest\.json"):
        read_manifest(version)


@pytest.mark.parametrize("read", [AttributionIndex.open, verify, read_manifest])
def test_an_index_of_an_older_byline_is_built_again(version: Path, read: Callable[[Path], object]) -> None:
    """The schema is checked first: neither digests nor owners, which an older schema lays out otherwise, are read."""
    rewrite(version, {"schema_version": 1})
    (version / "examples.sqlite").write_bytes(b"of another layout")
    with pytest.raises(IncompatibleIndex, match="got 1, which an older Byline wrote: build the index again"):
        read(version)


def test_an_index_of_a_newer_byline_asks_for_an_update(version: Path) -> None:
    rewrite(version, {"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(IncompatibleIndex, match="a newer Byline wrote: update Byline"):
        read_manifest(version)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b"[" * 100_000, b"\xff", b'{"content": NaN, "sha256": ""}']
)
def test_what_is_no_manifest_is_corrupt(version: Path, data: bytes) -> None:
    (version / "manifest.json").write_bytes(data)
    with pytest.raises(CorruptIndex, match=r"manifest\.json"):
        read_manifest(version)


def test_the_same_content_in_other_bytes_is_corrupt(version: Path) -> None:
    path = version / "manifest.json"
    path.write_bytes(json.dumps(json.loads(path.read_bytes())).encode())
    with pytest.raises(CorruptIndex):
        read_manifest(version)
