"""Thumbnails of training points: small PNG files, made of pixels or checked to be nothing else.

A PNG is written anew from the parts that draw it. Text, metadata and animations of a given file are not kept.

Letters: H rows, W columns, C channels.
"""

import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from byline.errors import InvalidTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIDE = 96
"""Most pixels of a side."""
MAX_BYTES = 48 << 10
"""Most bytes of a PNG."""
MEDIA_TYPE = "image/png"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _RGBA = 0, 2, 6
_CHANNELS = {_GRAY: 1, _RGB: 3, 3: 1, 4: 2, _RGBA: 4}
"""Color type -> numbers of a pixel. 3 is a palette, 4 is gray with transparency."""
_COLOR_TYPES = {1: _GRAY, 3: _RGB, 4: _RGBA}
_KEPT = (b"PLTE", b"tRNS")
_ROUNDING = 1e-3


def png(image: Any) -> bytes:
    """Make the PNG of a thumbnail.

    Args:
        image: The bytes of a PNG of at most 96 x 96 pixels, or pixels as a tensor or array [H, W] or [C, H, W], with 1, 3
            or 4 channels: uint8, or floats from 0 to 1. Larger arrays are reduced by the mean of squares of pixels.

    Returns:
        The bytes of the PNG.

    Raises:
        InvalidTask: The image is neither.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return _checked(bytes(image))
    return _encoded(_reduced(_pixels(image)))


def data_uri(image: bytes) -> str:
    """Write a PNG as the address of an `<img>`."""
    return f"data:{MEDIA_TYPE};base64,{b64encode(image).decode()}"


def _pixels(image: Any) -> "NDArray[np.float64]":
    """Read pixels as [H, W, C], 0 to 255."""
    import numpy as np

    given = image.detach().cpu().numpy() if hasattr(image, "detach") else image
    if not isinstance(given, np.ndarray) or not (given.dtype == np.uint8 or given.dtype.kind == "f"):
        raise InvalidTask(
            f"expected Example.image to be the bytes of a PNG, or an array of uint8 or floats, got {type(image).__name__}"
        )
    planes = given[None] if given.ndim == 2 else given
    if planes.ndim != 3 or len(planes) not in _COLOR_TYPES or not planes.size:
        raise InvalidTask(
            f"expected Example.image of shape [H, W] or [C, H, W] with 1, 3 or 4 channels, got {list(given.shape)}"
        )
    values = planes.astype(np.float64).transpose(1, 2, 0)
    if given.dtype == np.uint8:
        return values
    if not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):  # also refuses NaN
        raise InvalidTask("expected numbers from 0 to 1 in Example.image, got others: rescale the pixels")
    return values.clip(0, 1) * 255


def _reduced(pixels_HWC: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Take the means of squares of pixels, so that no side is longer than `MAX_SIDE`."""
    import numpy as np

    step = -(-max(pixels_HWC.shape[:2]) // MAX_SIDE)
    for axis in (0, 1):
        starts = np.arange(0, pixels_HWC.shape[axis], step)
        counts = np.diff([*starts, pixels_HWC.shape[axis]])
        shape = [-1 if each == axis else 1 for each in range(3)]
        pixels_HWC = np.add.reduceat(pixels_HWC, starts, axis=axis) / counts.reshape(shape)
    return pixels_HWC


def _encoded(pixels_HWC: "NDArray[np.float64]") -> bytes:
    import numpy as np

    height, width, channels = pixels_HWC.shape
    rows = np.rint(pixels_HWC).astype(np.uint8).reshape(height, width * channels)
    raw = np.insert(rows, 0, 0, axis=1).tobytes()  # each row begins with the number of its filter
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    return _written([(b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")])


def _written(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [_SIGNATURE]
    for kind, content in chunks:
        body = kind + content
        parts.append(struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(parts)


def _checked(image: bytes) -> bytes:
    """Check a PNG down to the number of its pixels, and keep what draws it."""
    if len(image) > MAX_BYTES:
        raise _refusal(f"{len(image):,} bytes: expected at most {MAX_BYTES:,}")
    chunks = list(_chunks(image))
    if len(chunks) < 3 or chunks[0][0] != b"IHDR" or chunks[-1] != (b"IEND", b""):
        raise _refusal("no header at its beginning, or no end at its end")
    lengths = _row_bytes(chunks[0][1])
    if any(kind[:1].isupper() and kind not in {b"PLTE", b"IDAT"} for kind, _ in chunks[1:-1]):
        raise _refusal("parts that no PNG has")
    kept = [
        (kind, next(content for each, content in chunks if each == kind))
        for kind in _KEPT
        if any(each == kind for each, _ in chunks)
    ]
    if any(len(content) > 768 for _, content in kept):
        raise _refusal("a palette of more than 256 colors")
    data = b"".join(content for kind, content in chunks if kind == b"IDAT")
    _require_rows(data, *lengths)
    return _written([chunks[0], *kept, (b"IDAT", data), (b"IEND", b"")])


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split a PNG.

    Yields:
        Kind and content of each part.
    """
    if not image.startswith(_SIGNATURE):
        raise _refusal("another beginning")
    place = len(_SIGNATURE)
    while place < len(image):
        length = int.from_bytes(image[place : place + 4])
        body, check = image[place + 4 : place + 8 + length], image[place + 8 + length : place + 12 + length]
        if len(check) != 4 or zlib.crc32(body) != int.from_bytes(check):
            raise _refusal("a part that is cut off or damaged")
        yield body[:4], body[4:]
        place += 12 + length


def _row_bytes(header: bytes) -> tuple[int, int]:
    """Read the header: (rows, bytes of a row with the number of its filter)."""
    if len(header) != 13:
        raise _refusal("a header of another length")
    width, height, depth, color, *methods = struct.unpack(">IIBBBBB", header)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise _refusal(
            f"a size that is not 1 to {MAX_SIDE} pixels a side: give the pixels as an array instead"
        )
    allowed = {_GRAY: {1, 2, 4, 8}, 3: {1, 2, 4, 8}}.get(color, {8})
    if color not in _CHANNELS or depth not in allowed or methods != [0, 0, 0]:
        raise _refusal("another form than up to 8 bits a channel, not interlaced")
    return height, 1 + -(-width * depth * _CHANNELS[color] // 8)


def _require_rows(data: bytes, rows: int, row_bytes: int) -> None:
    """Require that the data hold the rows of the header and nothing else. No more than these are unpacked."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(data, rows * row_bytes + 1)
    except zlib.error as error:
        raise _refusal("data that cannot be unpacked") from error
    if len(raw) != rows * row_bytes or not unpacking.eof or unpacking.unused_data:
        raise _refusal("data of another length than its header says")
    if any(raw[place] > 4 for place in range(0, len(raw), row_bytes)):
        raise _refusal("rows with an unknown filter")


def _refusal(got: str) -> InvalidTask:
    return InvalidTask(
        f"expected Example.image to be a PNG of at most {MAX_SIDE} x {MAX_SIDE} pixels, got {got}"
    )
