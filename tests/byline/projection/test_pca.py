"""The directions of a PCA against a float64 singular value decomposition."""

import numpy as np
import pytest
import torch

from byline.errors import InvalidRecipe
from byline.projection.pca import (
    Pca,
    decode_directions,
    encode_directions,
    fit_scales,
    mixing_matrix,
    rotate_features,
)
from byline.recipes import recipe


def features(rows: int, widths: tuple[int, ...], rank: int, seed: int = 0) -> list[torch.Tensor]:
    """Members that share most of what they say, with a falling spectrum."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    common *= torch.arange(1, rank + 1) ** -1.0
    return [common @ torch.randn(rank, width, generator=generator, dtype=torch.float64) for width in widths]


def directions(parts: list[torch.Tensor], options: Pca) -> list[torch.Tensor]:
    """The passes of a build, over one block."""
    rows, width = len(parts[0]), sum(p.shape[1] for p in parts)
    landmarks = options.landmarks(rows)
    V = [p[landmarks].T for p in parts]
    for number in range(options.passes):
        last = number == options.passes - 1
        Y = sum(p @ v for p, v in zip(parts, V, strict=True))
        W = [p.T @ Y for p in parts]
        S = mixing_matrix(
            Y.T @ Y, sum(w.T @ w for w in W), options.kept_size(rows, width) if last else len(landmarks)
        )
        V = [w @ S for w in W]
    return V


def test_spans_the_strongest_singular_vectors() -> None:
    parts = features(200, (60, 90), rank=50)
    V = torch.cat(directions(parts, Pca(size=10, passes=3))).numpy()
    X = torch.cat(parts, dim=1).numpy()
    expected = np.linalg.svd(X, full_matrices=False)[2][:10]
    np.testing.assert_allclose(V.T @ V, np.eye(10), atol=1e-8)
    np.testing.assert_allclose(np.linalg.svd(expected @ V)[1], 1, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.diag(expected @ V)), 1, atol=1e-4)


def test_one_pass_from_landmarks_keeps_nearly_all_that_can_be_kept() -> None:
    X = features(400, (120,), rank=110)[0] + 0.01 * features(400, (120,), rank=120, seed=1)[0]
    V = directions([X], Pca(size=20))[0]
    strongest = torch.linalg.svdvals(X)[:20].square().sum()
    assert float((X @ V).square().sum()) >= 0.98 * float(strongest)


def test_fewer_points_than_numbers_are_refused() -> None:
    with pytest.raises(InvalidRecipe, match=r"pca\.sample of at least pca\.size"):
        recipe("ekfac_pca", pca={"size": 8192})


def test_landmarks_are_spread_over_all_rows() -> None:
    assert Pca(size=8).landmarks(20).tolist() == list(range(20))
    found = Pca(size=8).landmarks(4000)
    assert len(found) == 40
    assert found[0] == 0
    assert set((found[1:] - found[:-1]).tolist()) == {100}


def test_fewer_rows_than_numbers_lose_nothing() -> None:
    parts = features(12, (40, 30), rank=40)
    V = torch.cat(directions(parts, Pca(size=64, passes=1)))
    X = torch.cat(parts, dim=1)
    assert V.shape == (70, 12)
    torch.testing.assert_close(X @ V @ V.T, X)


def test_beyond_the_rank_there_are_zeros() -> None:
    parts = features(50, (40,), rank=5)
    V = directions(parts, Pca(size=8, passes=2))[0]
    assert torch.count_nonzero(V.abs().sum(dim=0)) == 5
    torch.testing.assert_close(parts[0] @ V @ V.T, parts[0], atol=1e-6, rtol=1e-6)


def test_one_byte_a_number_changes_scores_by_less_than_a_percent() -> None:
    parts = features(300, (400, 500), rank=250)
    V = directions(parts, Pca(size=100))
    rounded = [decode_directions(encode_directions(v)) for v in V]
    exact = rotate_features([p.float() for p in parts], [v.float() for v in V]).sum(dim=1)
    found = rotate_features([p.float() for p in parts], [v for v in rounded if v is not None]).sum(dim=1)
    one, other = exact[:20] @ exact.T, found[:20] @ found.T
    assert float((one - other).norm() / one.norm()) < 0.01
    assert decode_directions({}) is None


def test_a_column_of_zeros_stays_one() -> None:
    state = encode_directions(torch.zeros(4, 2))
    assert torch.equal(decode_directions(state), torch.zeros(4, 2))


def test_rows_are_divided_by_the_root_of_their_weighted_length() -> None:
    squares, weights = torch.tensor([16.0, 0.0, 1.0]).double(), torch.tensor([1.0, 1.0, 0.25]).double()
    torch.testing.assert_close(fit_scales(squares, weights), torch.tensor([0.5, 0, 0.5]).double())
