"""A thumbnail is a small PNG, whatever was given: made of pixels, or checked and written anew."""

import struct
import zlib

import numpy as np
import pytest
import torch

from byline.api.example import Example
from byline.api.thumbnails import MAX_BYTES, data_uri, png
from byline.errors import InvalidTask

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def image(
    *, header: tuple[int, ...] = (2, 2, 8, 0, 0, 0, 0), raw: bytes = b"\0\1\2\0\3\4", more: bytes = b""
) -> bytes:
    begin = SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return begin + more + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def decoded(png_bytes: bytes) -> np.ndarray:
    """Read what `png` writes of pixels: 8 bits, no filters. [H, W, C]."""
    width, height, depth, color = struct.unpack(">IIBB", png_bytes[16:26])
    assert depth == 8
    channels = {0: 1, 2: 3, 6: 4}[color]
    length = int.from_bytes(png_bytes[33:37])
    rows = np.frombuffer(zlib.decompress(png_bytes[41 : 41 + length]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_come_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    assert (decoded(png(pixels)) == pixels.transpose(1, 2, 0)).all()
    floats = torch.from_numpy(pixels).float() / 255
    assert png(floats) == png(pixels)
    assert png(floats.requires_grad_()) == png(pixels)
    assert png(png(pixels)) == png(pixels)


def test_gray_needs_no_channel() -> None:
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert png(gray) == png(gray[None])


@pytest.mark.parametrize("shape", [(200, 97), (96, 500), (193, 193)])
def test_large_images_are_reduced_by_means(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random(shape)
    step = -(-max(shape) // 96)
    expected = [
        [pixels[i : i + step, j : j + step].mean() for j in range(0, shape[1], step)]
        for i in range(0, shape[0], step)
    ]
    found = decoded(png(pixels))[:, :, 0]
    assert max(found.shape) <= 96
    assert np.abs(found - 255 * np.array(expected)).max() <= 0.5 + 1e-9


def test_what_does_not_draw_is_left_out() -> None:
    plain = image()
    more = (
        chunk(b"tEXt", b"Comment\0<script>alert(1)</script>")
        + chunk(b"eXIf", b"place")
        + chunk(b"acTL", bytes(8))
    )
    assert png(image(more=more)) == png(plain) == plain
    palette = image(header=(2, 2, 8, 3, 0, 0, 0), more=chunk(b"PLTE", bytes(15)) + chunk(b"tRNS", b"\1"))
    assert png(palette) == palette


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a" + bytes(20),
        b"\xff\xd8\xff\xe0" + bytes(20),
        SIGNATURE,
        image()[:-1],
        image() + b"<script>alert(1)</script>",
        image() + image(),
        image().replace(b"\0\0\0\2\0\0\0\2", b"\0\0\0\2\0\0\0\3"),
        image(header=(97, 1, 8, 0, 0, 0, 0), raw=bytes(98)),
        image(header=(1 << 31, 1 << 31, 8, 0, 0, 0, 0)),
        image(header=(0, 2, 8, 0, 0, 0, 0), raw=b""),
        image(header=(2, 2, 16, 0, 0, 0, 0), raw=bytes(10)),
        image(header=(2, 2, 8, 5, 0, 0, 0)),
        image(header=(2, 2, 8, 0, 0, 0, 1)),
        image(raw=bytes(50_000_000)),
        image(raw=b"\0\1\2"),
        image(raw=b"\5\1\2\0\3\4"),
        image(more=chunk(b"ABCD", b"")),
        image(header=(2, 2, 8, 3, 0, 0, 0), more=chunk(b"PLTE", bytes(771))),
        SIGNATURE + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", bytes(12)) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""),
        bytes(MAX_BYTES + 1),
    ],
)
def test_other_bytes_are_refused_and_told_without_their_content(hostile: bytes) -> None:
    with pytest.raises(InvalidTask, match=r"expected Example\.image to be a PNG") as refused:
        png(hostile)
    assert "script" not in str(refused.value)
    with pytest.raises(InvalidTask):
        Example(id="a", image=hostile)


@pytest.mark.parametrize(
    "wrong",
    [
        "image.png",
        [[1, 2]],
        np.zeros((2, 5, 5), np.uint8),
        np.zeros((3, 0, 5), np.uint8),
        np.zeros(5),
        np.zeros((5, 5), np.int64),
        np.full((5, 5), 1.1),
        np.full((5, 5), -0.1),
        np.full((5, 5), np.nan),
    ],
)
def test_other_pixels_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidTask, match=r"Example\.image"):
        png(wrong)


def test_an_example_keeps_the_png_and_writes_it_nowhere() -> None:
    pixels = np.eye(4)
    example = Example(id="a", image=pixels)  # type: ignore[arg-type]
    assert example.image == png(pixels)
    assert "image" not in example.model_dump_json()
    assert "image" not in Example.model_json_schema(mode="serialization")["properties"]
    assert data_uri(png(pixels)).startswith("data:image/png;base64,iVBOR")
