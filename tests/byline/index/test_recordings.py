"""Recordings on disk: whole or refused."""

from pathlib import Path

import pytest
import torch

from byline.errors import InvalidInput, InvalidTask
from byline.gradients.outer_products.blocks import Block
from byline.index.recordings import RecordingHead, RecordingWriter, open_recording

HEAD = RecordingHead(
    scale={"kind": "none"},
    projection={"kind": "identity"},
    layers="all",
    train_signal="loss",
    blocks=(Block(name="w", parameters=("w",), shapes=((2, 3),), form="matrix"),),
    width=6,
    rows=10,
)


def written(folder: Path, *, steps: int = 5, close: bool = True) -> None:
    writer = RecordingWriter(folder, HEAD, span_bytes=2 * 3 * 6 * 4)
    writer.create()
    for step in range(steps):
        writer.append(torch.arange(3) + step, torch.full((3, 6), float(step)), 0.1 * (step + 1))
    if close:
        writer.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "run")
    found = open_recording(tmp_path / "run")
    assert found.head == HEAD
    assert [(span.steps, span.visits) for span in found.spans] == [(2, 6), (2, 6), (1, 3)]
    middle = found.read(1)
    assert middle.rows_N.tolist() == [2, 3, 4, 3, 4, 5]
    assert middle.phi_NK[:, 0].tolist() == [2.0] * 3 + [3.0] * 3
    assert middle.sizes_S.tolist() == [3, 3]
    torch.testing.assert_close(middle.rates_S, torch.tensor([0.3, 0.4], dtype=torch.float64))


def test_decays_are_kept_where_there_are_any(tmp_path: Path) -> None:
    written(tmp_path / "none")
    assert open_recording(tmp_path / "none").read(0).decays_S is None
    writer = RecordingWriter(tmp_path / "run", HEAD, span_bytes=1 << 20)
    writer.create()
    for decay in (0.0, 0.25):
        writer.append(torch.arange(2), torch.ones(2, 6), 0.1, decay)
    writer.close()
    decays = open_recording(tmp_path / "run").read(0).decays_S
    assert decays is not None
    assert decays.tolist() == [0.0, 0.25]


def test_the_digest_names_the_numbers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name)
    written(tmp_path / "c", steps=4)
    first, same, other = (open_recording(tmp_path / name).digest for name in "abc")
    assert first == same != other


def test_a_killed_run_leaves_whole_spans_and_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "run", close=False)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "head.json",
        "span-0000000.safetensors",
        "span-0000001.safetensors",
    ]
    with pytest.raises(InvalidTask, match=r"incomplete: .* after 2 whole spans"):
        open_recording(tmp_path / "run")


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "run")
    found = open_recording(tmp_path / "run")
    span = tmp_path / "run/span-0000001.safetensors"
    data = bytearray(span.read_bytes())
    data[-1] ^= 1
    span.write_bytes(data)
    with pytest.raises(InvalidTask, match="differs from its checksum"):
        found.read(1)
    span.unlink()
    with pytest.raises(InvalidTask, match="cannot be read"):
        found.read(1)
    (tmp_path / "run/recording.json").write_text("{}")
    with pytest.raises(InvalidTask, match="not the closing file"):
        open_recording(tmp_path / "run")


def test_no_recording_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match="found none: record one"):
        open_recording(tmp_path / "nowhere")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="new or empty folder"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
