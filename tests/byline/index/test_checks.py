"""Results of checks are kept for what was checked, and for nothing else."""

import importlib
import sys
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


@pytest.mark.parametrize("editable", [False, True])
def test_not_for_other_sources_of_a_package_without_a_version_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editable: bool
) -> None:
    """The model's class derives from one of the package, as of a distribution `some-layers` with the module `layers`."""
    source = tmp_path / "odd_layers.py"
    source.write_text("from torch import nn\n\nclass Odd(nn.Linear):\n    pass\n")
    if editable:
        installed = tmp_path / "odd_layers-1.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: odd_layers\nVersion: 1\n")
        (installed / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    monkeypatch.syspath_prepend(str(tmp_path))
    odd = importlib.import_module("odd_layers").Odd

    class Own(odd):  # type: ignore[misc, valid-type]
        pass

    model, cache = Own(3, 2), CheckCache(tmp_path / CHECK_CACHE, "a" * 64)
    cache.keep(model, *PLACE, RECORD)
    assert cache.find(model, *PLACE) == RECORD
    source.write_text(source.read_text().replace("pass", "changed = True"))
    assert cache.find(model, *PLACE) is None
    sys.modules.pop("odd_layers")


@pytest.mark.parametrize("by_model", [True, False])
def test_not_for_other_sources_of_a_module_that_the_code_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_model: bool
) -> None:
    source = tmp_path / "odd_helper.py"
    source.write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "odd_model.py").write_text(
        "import odd_helper\nfrom torch import nn\n\nclass Odd(nn.Linear):\n"
        "    def forward(self, x):\n        return odd_helper.twice(x)\n\n"
        "def loss(model, batch):\n    return odd_helper.twice(model(batch))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    odd = importlib.import_module("odd_model")
    model, code = (odd.Odd(3, 2), []) if by_model else (MODEL, [odd.loss])
    cache = CheckCache(tmp_path / CHECK_CACHE, "a" * 64, code)
    cache.keep(model, *PLACE, RECORD)
    assert cache.find(model, *PLACE) == RECORD
    source.write_text("def twice(x):\n    return x + x\n")
    assert cache.find(model, *PLACE) is None
    for name in ("odd_model", "odd_helper"):
        sys.modules.pop(name)


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
