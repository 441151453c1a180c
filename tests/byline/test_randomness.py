"""Random numbers depend on seed, stream and position alone."""

import pytest
import torch

from byline.randomness import (
    random_bits,
    random_integers,
    random_normals,
    random_signs,
    random_uniform,
    stratified_positions,
    stream_key,
)

CPU = torch.device("cpu")


def splitmix64(key: int, counter: int) -> int:
    """The generator in Python's unbounded integers, to the signed 64-bit value."""
    mask = 2**64 - 1
    x = ((counter + 1) * 0x9E3779B97F4A7C15 + key) & mask
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
    x ^= x >> 31
    return x - 2**64 if x >= 2**63 else x


@pytest.mark.parametrize("key", [0, 1, stream_key(7, "a"), 2**63 - 1])
def test_bits_are_splitmix64(key: int) -> None:
    counters = torch.tensor([0, 1, 2, 1000, 2**40])
    assert random_bits(key, counters).tolist() == [splitmix64(key, int(c)) for c in counters]


def test_chunks_join_to_the_whole() -> None:
    key = stream_key(0, "signs")
    whole = random_signs(key, 0, 10, 70, CPU)
    parts = [random_signs(key, start, 5, 70, CPU) for start in (0, 5)]
    assert torch.equal(whole, torch.cat(parts))
    assert set(whole.flatten().tolist()) == {-1.0, 1.0}


def test_normal_numbers_are_normal_and_join() -> None:
    whole = random_normals(3, 0, 1000, 40, CPU)
    assert torch.equal(whole[100:110], random_normals(3, 100, 10, 40, CPU))
    assert abs(float(whole.mean())) < 0.02
    assert abs(float(whole.var()) - 1) < 0.02
    assert abs(float((whole**4).mean()) - 3) < 0.1
    assert abs(float((whole[:, 0] * whole[:, 1]).mean())) < 0.1


@pytest.mark.parametrize(("high", "count"), [(10, 10), (1000, 7), (3, 9), (101, 100)])
def test_stratified_integers_are_different_and_spread(high: int, count: int) -> None:
    chosen = stratified_positions(5, high, count)
    assert len(chosen) == min(count, high)
    assert (chosen.diff() > 0).all()
    assert int(chosen[0]) >= 0
    assert int(chosen[-1]) < high


def test_streams_and_seeds_are_unrelated() -> None:
    counters = torch.arange(2000)
    streams = [random_bits(stream_key(seed, name), counters) for seed in (0, 1) for name in ("a", "b")]
    for i, one in enumerate(streams):
        for other in streams[i + 1 :]:
            agreeing = (one ^ other >> 0 & 1).bitwise_and(1).float().mean()
            assert abs(float(agreeing) - 0.5) < 0.06


def test_numbers_are_spread_evenly() -> None:
    counters = torch.arange(50_000)
    uniform = random_uniform(3, counters)
    assert 0 <= float(uniform.min()) <= float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.01
    counts = torch.bincount(random_integers(3, counters, 7), minlength=7)
    assert len(counts) == 7
    assert float((counts - 50_000 / 7).abs().max()) < 5 * (50_000 / 7) ** 0.5
    signs = random_signs(3, 0, 500, 100, CPU)
    assert float((signs.T @ signs / 500 - torch.eye(100)).abs().max()) < 0.3
