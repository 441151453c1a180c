"""The file beside a version that holds its blend."""

from pathlib import Path

import pytest

from byline.api.blend import Blend
from byline.errors import CorruptIndex
from byline.index.blend import blend_path, read_blend, write_blend


def test_it_is_read_as_written_replaced_and_removed(tmp_path: Path) -> None:
    version = tmp_path / "v1"
    assert read_blend(version) is None
    for blend in (Blend(baseline="bm25", weight=0.1), Blend(baseline="representation")):
        write_blend(version, blend)
        assert read_blend(version) == blend
    assert [path.name for path in tmp_path.iterdir()] == ["v1.blend.json"]
    write_blend(version, None)
    assert read_blend(version) is None
    write_blend(version, None)


def test_an_equal_blend_is_not_written_again(tmp_path: Path) -> None:
    version = tmp_path / "v1"
    write_blend(version, Blend(baseline="bm25"))
    before = blend_path(version).stat()
    write_blend(version, Blend(baseline="bm25"))
    assert blend_path(version).stat().st_ino == before.st_ino, "the index's folder may be read-only"


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{",
        b'{"baseline": "knn_shapley", "weight": 1}',
        b'{"baseline": "bm25", "weight": -1}',
        b'{"baseline": "bm25", "weight": NaN}',
        b'{"baseline": "bm25", "weights": 1}',
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    blend_path(tmp_path / "v1").write_bytes(content)
    with pytest.raises(CorruptIndex, match=r"v1\.blend\.json: expected a baseline and its weight"):
        read_blend(tmp_path / "v1")
