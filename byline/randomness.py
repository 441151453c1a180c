"""Counter-based random bits: the same on every device, in any order, without state.

A generator's stream depends on its device and on what was drawn before. An index built on a GPU must be
queried from a CPU, and chunk 7 of a projection must not depend on chunks 0 to 6. So every number is a
hash of (seed, stream, counter): the finaliser of SplitMix64 (Steele, Lea & Flood 2014), in wrapping int64
arithmetic, which is exact on CPUs and GPUs alike.
"""

import hashlib

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def stream_key(seed: int, *names: str | int) -> int:
    """Mix a seed with names into the 63-bit key of one stream of numbers.

    Args:
        seed: The user's seed.
        names: Purpose of the stream, e.g. `("sjlt", "fc1.weight", 0)`.

    Returns:
        A non-negative key. Different names give unrelated streams.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def random_bits(key: int, counters: Tensor) -> Tensor:
    """Hash counters to 64 random bits each.

    Args:
        key: From `stream_key`.
        counters: int64 tensor of any shape.

    Returns:
        int64 tensor of that shape. All 64 bits are random.
    """
    x = (counters + 1) * _GOLDEN + key
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def random_integers(key: int, counters: Tensor, high: int) -> Tensor:
    """Draw integers in [0, high). `high` is at most 2^31, so that the bias is below 2^-32."""
    return _shift(random_bits(key, counters), 32) * high >> 32


def random_uniform(key: int, counters: Tensor) -> Tensor:
    """Draw float64 numbers in [0, 1) with 53 random bits."""
    return _shift(random_bits(key, counters), 11).to(torch.float64) * 2.0**-53


def random_signs(key: int, start: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Draw rows `start` to `start + rows` of an endless matrix of signs.

    Args:
        key: From `stream_key`.
        start: First row.
        rows: Number of rows.
        columns: Width of the matrix; part of the stream's layout.
        device: Device of the result. Its content does not depend on it.

    Returns:
        float32 [rows, columns] of -1 and +1.
    """
    words = -(-columns // 64)
    counters = torch.arange(start * words, (start + rows) * words, dtype=torch.int64, device=device)
    bits = random_bits(key, counters).reshape(rows, words, 1)
    places = torch.arange(64, dtype=torch.int64, device=device)
    signs = (bits >> places & 1).reshape(rows, words * 64)[:, :columns]
    return signs.to(torch.float32).mul_(2).sub_(1)


def random_normals(key: int, start: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Draw rows `start` to `start + rows` of an endless matrix of standard normal numbers (Box & Muller 1958).

    Args:
        key: From `stream_key`.
        start: First row.
        rows: Number of rows.
        columns: Width of the matrix; part of the stream's layout.
        device: Device of the result. Its content depends on it in the last bits of float32 only.

    Returns:
        float32 [rows, columns].
    """
    counters = torch.arange(start * columns, (start + rows) * columns, dtype=torch.int64, device=device)
    radius = (-2 * (1 - random_uniform(key, counters)).log()).sqrt()
    angle = 2 * torch.pi * random_uniform(key, ~counters)
    return (radius * angle.cos()).float().reshape(rows, columns)


def stratified_positions(key: int, high: int, count: int) -> Tensor:
    """Choose different integers below `high`, one at random from each of `count` equal stretches.

    Args:
        key: From `stream_key`.
        high: Integers to choose from.
        count: Number of positions. All of them where it is not below `high`.

    Returns:
        int64 [min(count, high)], ascending.
    """
    if count >= high:
        return torch.arange(high, dtype=torch.int64)
    places = torch.arange(count, dtype=torch.int64)
    starts, ends = places * high // count, (places + 1) * high // count
    return starts + (random_uniform(key, places) * (ends - starts)).long()


def _shift(x: Tensor, places: int) -> Tensor:
    """Shift right with zeros coming in, which int64's own shift does not do."""
    return x >> places & (1 << 64 - places) - 1
