"""A trial factorizes one matrix of a size and charges the others the same."""

import torch

from byline.curvature.fisher import inverse_root
from byline_indexer.build import factorizations
from byline_indexer.build.factorizations import Factorizations


def matrix(rows: int) -> torch.Tensor:
    torch.manual_seed(rows)
    factor = torch.randn(rows + 2, rows, dtype=torch.float64)
    return factor.T @ factor


def test_every_call_is_charged_and_shapes_are_kept() -> None:
    with Factorizations() as mode:
        values, vectors = torch.linalg.eigh(matrix(40))
        first = mode.charged
        torch.linalg.eigh(matrix(40))
        assert mode.charged == 2 * first > 0
        root = inverse_root(matrix(30), 0.1)
    assert values.shape == (40,)
    assert bool((values.diff() >= 0).all()), "ascending, as eigenvalues are"
    assert vectors.shape == (40, 40)
    assert root.shape == (30, 30)
    assert mode.charged > 2 * first


def test_a_large_matrix_costs_the_cube_of_its_corner() -> None:
    with Factorizations() as mode:
        torch.linalg.eigh(matrix(factorizations.LARGEST))
        small = mode.charged
        torch.linalg.eigh(matrix(2 * factorizations.LARGEST))
    assert 2 * small < mode.charged - small < 32 * small


def test_outside_nothing_is_replaced() -> None:
    with Factorizations():
        pass
    own = matrix(5)
    values, vectors = torch.linalg.eigh(own)
    torch.testing.assert_close(vectors * values @ vectors.T, own)
