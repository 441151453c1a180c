"""The example of OpenMoji's authors, without the network: made-up drawings, and the way from prediction to statement."""

import os
import re
import struct
import zlib

import numpy as np
import pytest
from safetensors.torch import save_file

from examples.openmoji import drawings
from examples.openmoji.split_gains import Gain, gains, summary
from examples.openmoji.task import arrays, model, split, task
from tests.service.fakes import fake_attributor


def filtered(pixels_HWC, kinds):
    """A PNG with these filters, one a line, by the specification's formulas."""
    height, width, _ = pixels_HWC.shape
    rows = pixels_HWC.reshape(height, -1).astype(int)
    data = b""
    for y, kind in enumerate(kinds):
        above = rows[y - 1] if y else np.zeros_like(rows[0])
        left = np.concatenate([np.zeros(4, int), rows[y][:-4]])
        corner = np.concatenate([np.zeros(4, int), above[:-4]])
        paeth = left + above - corner
        distances = np.stack([abs(paeth - left), abs(paeth - above), abs(paeth - corner)])
        nearest = np.choose(distances.argmin(axis=0), [left, above, corner])
        guess = [0 * left, left, above, (left + above) // 2, nearest][kind]
        data += bytes([kind]) + ((rows[y] - guess) % 256).astype(np.uint8).tobytes()

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    packed = zlib.compress(data)
    parts = [chunk(b"IDAT", packed[:10]), chunk(b"IDAT", packed[10:])]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(parts) + chunk(b"IEND", b"")


def test_every_filter_of_a_png_is_undone():
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (10, 7, 4))
    found = drawings.decoded(filtered(pixels_HWC, [0, 1, 2, 3, 4] * 2))
    np.testing.assert_array_equal(found, pixels_HWC[:, :, :3].transpose(2, 0, 1))


def test_a_drawing_is_rendered_on_white():
    pytest.importorskip("resvg_py")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"><rect width="1" height="2" fill="#f00"/></svg>'
    found = drawings._rendered(svg)
    assert found.shape == (3, 32, 32)
    np.testing.assert_array_equal(found[:, 5, 3], [255, 0, 0])
    np.testing.assert_array_equal(found[:, 5, 28], [255, 255, 255])


def test_made_up_drawings_become_a_task_with_their_authors_as_owners(tmp_path):
    drawings.write_made_up(tmp_path)
    images_N, labels_N, records, groups = arrays(tmp_path)
    assert (len(images_N), groups) == (120, ["fruit", "leaf"])
    assert float(images_N.max()) <= 1
    kept = split(records, held_out=False)
    save_file(model(2).state_dict(), tmp_path / "seed-0.safetensors")
    declared = task(tmp_path)
    assert len(declared.train_set) == len(kept) == 108
    example = declared.describe(0)
    assert (example.owner, example.license, example.label) == ("Ash", "CC-BY-SA-4.0", groups[labels_N[0]])


def test_another_archive_is_refused(tmp_path):
    (tmp_path / drawings.ARCHIVE).write_bytes(b"something else")
    with pytest.raises(SystemExit, match="SHA-256"):
        drawings.archive(tmp_path)


def test_gains_are_the_formulas_and_stay_within_the_bound():
    attributor, _ = fake_attributor()
    answer = attributor.attribute(_request(attributor))
    found = gains(attributor, {"text": "hello", "label": 1})
    scores = {}
    for each in answer.proponents:
        scores.setdefault(each.example.owner, []).append(each.score)
    assert {each.owner for each in found} == set(scores)
    for each in found:
        positive = sum(score for score in scores[each.owner] if score > 0)
        others = sum(max(sum(row), 0) for owner, row in scores.items() if owner != each.owner)
        assert each.share + each.gain == pytest.approx(positive / (positive + others))
        assert 0 <= each.gain <= each.bound
    assert "all" in summary(found)
    assert "NOT ALL" in summary([*found, Gain("x", 0.1, 0.5, 0.4)])


def _request(attributor):
    from byline.attribution.request import AttributionRequest

    return AttributionRequest(query={"text": "hello", "label": 1}, k=attributor.index.rows)


@pytest.mark.slow
def test_from_prediction_to_statement(tmp_path, request, forks):
    words = ["examples.openmoji.demo", "--smoke", "--folder", str(tmp_path)]
    done = forks.run(words, request.config.rootpath, os.environ, seconds=280)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "4 events, drafted by ada, approval by grace",
        "Ash",
        "Birch",
        "Within the bound: all",
        "OpenMoji",
    ):
        assert words in done.stdout
    assert re.search(r"every recomputed statement is the same", done.stdout)
