"""The final scores' bits depend on the query and the row alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byline.search.scores import normalize_queries, pair_scores, rounding_bound, sum_parts

pytestmark = pytest.mark.search


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 3_000), count=st.integers(2, 40), cut=st.integers(1, 39), seed=st.integers(0, 99))
def test_bits_do_not_depend_on_neighbors(width: int, count: int, cut: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, width)).astype(np.float32)
    query = generator.standard_normal(width)
    slices = (slice(0, width // 2), slice(width // 2, width))
    whole = sum_parts(pair_scores(query, vectors, slices))
    at = min(cut, count - 1)
    parts = [vectors[:at], vectors[at:]]
    assert whole.tobytes() == b"".join(
        sum_parts(pair_scores(query, part, slices)).tobytes() for part in parts
    )
    assert whole[at].tobytes() == sum_parts(pair_scores(query, vectors[at : at + 1], slices)).tobytes()
    assert (-whole).tobytes() == sum_parts(pair_scores(-query, vectors, slices)).tobytes()


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 4_000), seed=st.integers(0, 99))
def test_the_bound_on_rounding_holds(width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    left, right = generator.standard_normal((2, width)).astype(np.float32)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    lengths = np.linalg.norm(left.astype(np.float64)) * np.linalg.norm(right.astype(np.float64))
    assert abs(float(left @ right) - exact) <= rounding_bound(width) * lengths


@given(exponents=st.lists(st.integers(-900, 900), min_size=1, max_size=6))
def test_candidate_queries_keep_their_direction(exponents: list[int]) -> None:
    queries = np.ldexp(np.array([[0.75, -0.5, 0.0]]), np.array(exponents)[:, None])
    moved, norms = normalize_queries(queries)
    np.testing.assert_array_equal(moved, np.repeat(np.float32([[0.75, -0.5, 0]]), len(exponents), axis=0))
    np.testing.assert_allclose(norms, np.hypot(0.75, 0.5))
