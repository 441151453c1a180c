"""Results of checks are kept for what was checked, and for nothing else."""

from pathlib import Path

import pytest
from torch import nn

from byline.gradients.check_record import CheckRecord
from byline.index import checks
from byline.index.checks import MOST, CheckCache
from byline.index.layout import CHECK_CACHE, CURRENT

RECORD = CheckRecord(
    parameters={"weight": (2, 3)},
    separation=None,
    independent=True,
    notice="taken alone",
    captures=True,
    copies=False,
    unused=("weight",),
)
MODEL = nn.Linear(3, 2)
PLACE = ("c0", "cpu float32")


def test_a_record_is_found_again(tmp_path: Path) -> None:
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    assert cache.find(MODEL, *PLACE) is None
    cache.keep(MODEL, *PLACE, RECORD)
    assert CheckCache(tmp_path / CHECK_CACHE, "a" * 64).find(MODEL, *PLACE) == RECORD
    cache.forget()
    assert cache.find(MODEL, *PLACE) is None
    cache.forget()


def test_not_for_another_version_member_device_or_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    cache.keep(MODEL, *PLACE, RECORD)
    assert CheckCache(tmp_path / CHECK_CACHE, "b" * 64).find(MODEL, *PLACE) is None
    assert cache.find(MODEL, "c1", PLACE[1]) is None
    assert cache.find(MODEL, PLACE[0], "cuda bfloat16") is None
    monkeypatch.setattr(checks, "libraries", lambda: {"torch": "0"})
    assert cache.find(MODEL, *PLACE) is None
    monkeypatch.undo()
    monkeypatch.setattr(checks, "_version", lambda package: "0")
    assert cache.find(MODEL, *PLACE) is None


def test_the_latest_entries_stay(tmp_path: Path) -> None:
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    for number in range(MOST + 2):
        cache.keep(MODEL, f"c{number}", PLACE[1], RECORD)
    assert [cache.find(MODEL, f"c{n}", PLACE[1]) is None for n in (0, 1, 2, MOST + 1)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}'])
def test_a_damaged_file_is_no_check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECK_CACHE).write_bytes(content)
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    assert cache.find(MODEL, *PLACE) is None
    cache.keep(MODEL, *PLACE, RECORD)
    assert cache.find(MODEL, *PLACE) == RECORD


def test_an_entry_of_another_release_is_no_check(tmp_path: Path) -> None:
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    cache.keep(MODEL, *PLACE, RECORD)
    text = (tmp_path / CHECK_CACHE).read_text()
    (tmp_path / CHECK_CACHE).write_text(text.replace('"copies"', '"doubles"'))
    assert cache.find(MODEL, *PLACE) is None


def test_only_versions_of_an_index_directory_have_one(tmp_path: Path) -> None:
    assert CheckCache.beside(tmp_path / "v", "a" * 64) is None
    (tmp_path / CURRENT).write_text("v\n")
    assert CheckCache.beside(tmp_path / "v", "a" * 64) is not None


def test_a_place_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    CheckCache(tmp_path / "absent" / CHECK_CACHE, "a" * 64).keep(MODEL, *PLACE, RECORD)
    assert not (tmp_path / "absent").exists()
