"""An opened index says what was put in."""

from pathlib import Path

import numpy as np
import pytest
import torch

from byline.errors import InvalidQuery, NotFound
from byline.index.index import AttributionIndex
from tests.byline.index.building import build, example, heavy_tailed


@pytest.fixture
def index(tmp_path: Path) -> AttributionIndex:
    return build(tmp_path / "v", heavy_tailed(30, 6), widths=(4, 2))


def test_what_it_says(index: AttributionIndex) -> None:
    assert (index.rows, index.width, index.exact) == (30, 6, True)
    assert [member.name for member in index.members] == ["c0", "c1"]
    assert index.recipe.name == "grad_dot"
    assert index.manifest.task.name == "small"
    assert index.examples.by_rows([7]) == [example(7)]
    assert index.row_weights is None
    expected = np.square(heavy_tailed(30, 6).astype(np.float64)).sum(axis=1)
    np.testing.assert_array_equal(index.self_influence, expected)


def test_states_come_back(index: AttributionIndex) -> None:
    torch.testing.assert_close(index.states("c1")["fisher"], torch.eye(2))
    with pytest.raises(NotFound):
        index.states("../c1")


def test_query_vectors_meet_stored_numbers(index: AttributionIndex) -> None:
    queries = heavy_tailed(5, 6, seed=1)
    scores = index.query_vectors(torch.from_numpy(queries)) @ index.vectors.gather(np.arange(30)).T
    np.testing.assert_allclose(scores, queries @ heavy_tailed(30, 6).T, atol=5e-3)
    with pytest.raises(InvalidQuery):
        index.query_vectors(queries[:, :5])


def test_stored_rows_cannot_be_changed(index: AttributionIndex) -> None:
    before = (index.path / "vectors/00000.npy").read_bytes()
    for _, block in index.vectors.blocks():
        block[:] = 0
    assert (index.path / "vectors/00000.npy").read_bytes() == before
    with pytest.raises(ValueError, match="read-only"):
        index.owners.sums[0] = 0


def test_rows_of_codes_alone_cannot_be_read(tmp_path: Path) -> None:
    index = build(tmp_path / "v", heavy_tailed(40, 8), search="compressed", keep="codes")
    with pytest.raises(NotFound, match="codes only"):
        _ = index.vectors
