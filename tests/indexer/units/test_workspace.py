from pathlib import Path

import pytest
import torch

from byline.errors import BuildFailed
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace

UNIT = Unit(Stage.EMIT, "c0", 3)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def output(workspace: Workspace) -> Path:
    return next((workspace.root / "outputs").rglob("*.safetensors"))


def test_an_output_comes_back_and_is_finished(workspace: Workspace) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    receipt = workspace.write(UNIT, {"a": tensor, "b": torch.zeros(0)})
    assert workspace.finished(UNIT)
    assert workspace.receipt(UNIT) == receipt
    assert torch.equal(workspace.read(UNIT)["a"], tensor)
    assert list(workspace.read(UNIT, ("b",))) == ["b"]


def test_the_same_output_is_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(3), "b": torch.zeros(2, dtype=torch.float64)}
    receipts = [Workspace(tmp_path / name).write(UNIT, tensors) for name in ("one", "two")]
    assert receipts[0] == receipts[1]


def test_a_receipt_without_its_output_does_not_count(workspace: Workspace) -> None:
    workspace.write(UNIT, {"a": torch.ones(3)})
    workspace.discard(UNIT)
    assert workspace.receipt(UNIT) is not None
    assert not workspace.finished(UNIT)


@pytest.mark.parametrize("damage", ["flip", "truncate", "extend"])
def test_a_damaged_output_does_not_count(workspace: Workspace, damage: str) -> None:
    workspace.write(UNIT, {"a": torch.ones(3)})
    data = bytearray(output(workspace).read_bytes())
    data[-1] ^= 1
    changed = {"flip": bytes(data), "truncate": bytes(data[:-1]), "extend": bytes(data) + b"x"}
    output(workspace).write_bytes(changed[damage])
    assert not workspace.finished(UNIT)


def test_a_damaged_receipt_does_not_count(workspace: Workspace) -> None:
    workspace.write(UNIT, {"a": torch.ones(3)})
    receipt = next((workspace.root / "receipts").rglob("*.json"))
    receipt.write_text(receipt.read_text()[:-5])
    assert not workspace.finished(UNIT)


def test_sweeping_deletes_what_is_half_written_and_nothing_else(workspace: Workspace) -> None:
    workspace.write(UNIT, {"a": torch.ones(3)})
    half = output(workspace).with_name(".tmp-12-ab")
    half.write_bytes(b"half")
    workspace.version.mkdir()
    (workspace.version / "vectors").write_bytes(b"half")
    workspace.sweep()
    assert not half.exists()
    assert not workspace.version.exists()
    assert workspace.finished(UNIT)


def test_a_failed_write_leaves_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        workspace.write(UNIT, {"a": torch.ones(3)})
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("names", [None, ("a",)])
@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_reading_what_is_not_there_names_the_unit(
    workspace: Workspace, damage: str, names: tuple[str, ...] | None
) -> None:
    workspace.write(UNIT, {"a": torch.ones(3)})
    if damage == "gone":
        output(workspace).unlink()
    else:
        output(workspace).write_bytes(b"x")
    with pytest.raises(BuildFailed, match=r"stage 'emit', member c0, block 3: its output.*makes it again"):
        workspace.read(UNIT, names)
