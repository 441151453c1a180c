"""Scales, shards and what comes back through the memory map."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byline.errors import BuildFailed
from byline.index.layout import block_rows
from byline.index.vectors import fp16_exponent, weighted_blocks
from tests.byline.index.building import build, contents_of, heavy_tailed
from tests.byline.index.building import write_index as write


@given(st.floats(min_value=2.0**-149, max_value=3e38))
def test_a_scale_neither_overflows_nor_underflows(largest: float) -> None:
    scaled = math.ldexp(largest, fp16_exponent(largest))
    assert 2**14 <= scaled < 2**15
    assert np.isfinite(np.float16(scaled))


def test_a_stretch_of_zeros_is_not_scaled() -> None:
    assert fp16_exponent(0.0) == 0


@pytest.mark.parametrize("factor", [1e-36, 1e-12, 1.0, 1e12, 1e33])
def test_stored_numbers_keep_eleven_bits(tmp_path: Path, factor: float) -> None:
    features = heavy_tailed(50, 12)
    features[:, 5:] *= np.float32(factor)
    index = build(tmp_path / "v", features, widths=(5, 4, 3))
    exponents = [member.scale_exponent for member in index.members]
    assert len(exponents) == 3
    stored = index.vectors.gather(np.arange(50)).astype(np.float64)
    back = np.concatenate(
        [np.ldexp(stored[:, part], -e) for part, e in zip(index.slices, exponents, strict=True)], axis=1
    )
    largest = np.abs(features).max(axis=0)
    np.testing.assert_allclose(back, features, rtol=2**-11, atol=float(largest.min()) * 2**-24)


def test_fp32_rows_are_the_features(tmp_path: Path) -> None:
    features = heavy_tailed(70, 9)
    index = build(tmp_path / "v", features, dtype="fp32", shard_rows=30)
    np.testing.assert_array_equal(index.vectors.gather(np.array([69, 0, 30, 30])), features[[69, 0, 30, 30]])
    blocks = list(index.vectors.blocks(20))
    assert [start for start, _ in blocks] == [0, 20, 30, 50, 60]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), features)
    index.vectors.release()
    np.testing.assert_array_equal(index.vectors.gather(np.array([1])), features[[1]])


def test_row_weights_are_multiplied_in(tmp_path: Path) -> None:
    features, weights = heavy_tailed(40, 6), np.linspace(0, 1, 40)
    index = build(tmp_path / "v", features, dtype="fp32", row_weights=weights)
    expected = (features * weights[:, None]).astype(np.float32)
    np.testing.assert_array_equal(index.vectors.gather(np.arange(40)), expected)
    assert index.row_weights is not None
    np.testing.assert_array_equal(index.row_weights, weights)


@pytest.mark.parametrize("shape", [(10, 4), (9, 5), (11, 5), (10, 6)])
def test_a_stream_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(BuildFailed, match="10"):
        list(weighted_blocks(iter([np.zeros(shape, dtype=np.float32)]), None, (10, 5)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_numbers_that_are_not_finite_name_their_row(tmp_path: Path, bad: float, dtype: Any) -> None:
    features = heavy_tailed(200, 5)
    features[137, 2] = bad
    contents = contents_of(heavy_tailed(200, 5), dtype=dtype)
    object.__setattr__(contents, "features", lambda: iter([features[:100], features[100:]]))
    with pytest.raises(BuildFailed, match="row 137"):
        write(contents, tmp_path / "v")


def test_blocks_are_bounded_and_packed() -> None:
    for width in (1, 100, 1_024, 20_480, 10**6):
        assert block_rows(width) % 32 == 0
        assert block_rows(width) * width * 4 <= max(1 << 24, 32 * width * 4)
