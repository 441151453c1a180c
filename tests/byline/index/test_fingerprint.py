"""Whatever changes the bytes changes the name."""

from pathlib import Path
from typing import Any

import pytest

from byline.errors import IncompatibleIndex
from byline.index import fingerprint, index
from byline.index.fingerprint import METHOD_REVISION, Fingerprint
from byline.index.index import AttributionIndex
from byline.index.layout import StorageOptions
from byline.index.writer import write_index
from byline.recipes import recipe
from tests.byline.index.building import contents_of, heavy_tailed

SAME: dict[str, Any] = {
    "recipe": recipe("ekfac"),
    "weights": ["a", "b"],
    "data": "d",
    "task": "t",
    "storage": StorageOptions(),
    "build": {"block_rows": 256, "threads": 1},
}


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": recipe("ekfac", curvature={"damping": 0.123})},
        {"recipe": recipe("ekfac", members={"masks": 2})},
        {"recipe": recipe("kfac")},
        {"recipe": recipe("grad_dot", projection={"seed": 1})},
        {"weights": ["a", "c"]},
        {"weights": ["b", "a"]},
        {"data": "e"},
        {"task": "u"},
        {"storage": StorageOptions(dtype="fp32")},
        {"storage": StorageOptions(search="compressed")},
        {"storage": StorageOptions(seed=1)},
        {"build": {"block_rows": 256, "threads": 2}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_input_has_another_name(change: dict[str, Any]) -> None:
    before, after = Fingerprint.of(**SAME), Fingerprint.of(**{**SAME, **change})
    assert before.hex != after.hex
    assert before.version != after.version


def test_a_release_with_other_numbers_has_another_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = Fingerprint.of(**SAME)
    write_index(contents_of(heavy_tailed(20, 4)), tmp_path / "v")
    monkeypatch.setattr(fingerprint, "METHOD_REVISION", METHOD_REVISION + 1)
    monkeypatch.setattr(index, "METHOD_REVISION", METHOD_REVISION + 1)
    assert Fingerprint.of(**SAME).version != before.version
    with pytest.raises(IncompatibleIndex, match=f"revision {METHOD_REVISION + 1}, got {METHOD_REVISION}"):
        AttributionIndex.open(tmp_path / "v")


def test_the_same_input_has_the_same_name() -> None:
    again = Fingerprint.of(**{**SAME, "build": {"threads": 1, "block_rows": 256}})
    assert again == Fingerprint.of(**SAME)
    assert again.version == again.hex[:12]
    assert len(again.hex) == 64
    assert Fingerprint.model_validate_json(again.model_dump_json()) == again
