"""Solvers equal dense linear algebra, stop when they are done, and say so when they cannot."""

import pytest
import torch
from torch import Tensor

from byline.curvature.solvers import (
    LissaOptions,
    conjugate_gradients,
    coordinates,
    lanczos,
    largest_eigenvalue,
    lissa,
    orthogonalize,
    ritz_pairs_of,
)
from byline.errors import NonFiniteGradient

SIZE = 30


def positive(condition: float = 100.0, size: int = SIZE) -> Tensor:
    """A symmetric positive definite matrix, float64."""
    generator = torch.Generator().manual_seed(1)
    vectors, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    values = torch.logspace(0, torch.tensor(condition).log10().item(), size, dtype=torch.float64)
    return vectors @ torch.diag(values) @ vectors.T


def sides(count: int = 3, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


def test_conjugate_gradients_solve_every_row() -> None:
    matrix, b = positive(), sides()
    found = conjugate_gradients(lambda v: v @ matrix, b, iterations=200, tolerance=1e-12)
    torch.testing.assert_close(found.x_VP, torch.linalg.solve(matrix, b.T).T)
    assert found.iterations < 200
    assert (found.residual_V <= 1e-12).all()
    assert not found.indefinite_V.any()


def test_rows_stop_at_the_tolerance_each_for_itself() -> None:
    matrix, b = positive(), sides()
    vectors = torch.linalg.eigh(matrix).eigenvectors
    b[0] = vectors[:, 4]  # done after one step
    asked: list[int] = []

    def product(v: Tensor) -> Tensor:
        asked.append(len(v))
        return v @ matrix

    found = conjugate_gradients(product, b, tolerance=1e-3)
    assert asked[0] == 3
    assert asked[1] == 2
    true = (b - found.x_VP @ matrix).norm(dim=1) / b.norm(dim=1)
    assert (true <= 1.1e-3).all()
    loose, tight = (
        conjugate_gradients(lambda v: v @ matrix, b, tolerance=t).iterations for t in (1e-1, 1e-8)
    )
    assert loose < tight


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_number_past_convergence_is_nan(dtype: torch.dtype) -> None:
    matrix, b = positive(1e4).to(dtype), sides().to(dtype)
    b[1] = 0
    found = conjugate_gradients(lambda v: v @ matrix, b, iterations=500, tolerance=0.0)
    assert found.x_VP.isfinite().all()
    assert not found.x_VP[1].any()
    exact = torch.linalg.solve(matrix.double(), b.double().T).T
    assert (found.x_VP.double() - exact).norm() < 1e-2 * exact.norm()


def test_an_indefinite_matrix_is_reported() -> None:
    matrix = torch.diag(torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64))
    found = conjugate_gradients(lambda v: v @ matrix, torch.eye(3, dtype=torch.float64))
    assert found.indefinite_V.tolist() == [False, True, False]
    assert found.x_VP.isfinite().all()


def test_few_iterations_leave_a_residual() -> None:
    matrix, b = positive(), sides()
    found = conjugate_gradients(lambda v: v @ matrix, b, iterations=3)
    assert found.iterations == 3
    torch.testing.assert_close(found.residual_V, (b - found.x_VP @ matrix).norm(dim=1) / b.norm(dim=1))


def test_lissa_of_one_batch_solves() -> None:
    matrix, b = positive(20.0), sides()
    options = LissaOptions(depth=3000, damping=0.5, scale=20.0, tolerance=1e-12)
    found = lissa(lambda v, batch: v @ matrix, b, 1, options)
    damped = matrix + 0.5 * torch.eye(SIZE, dtype=torch.float64)
    torch.testing.assert_close(found.x_VP, torch.linalg.solve(damped, b.T).T, rtol=1e-6, atol=1e-9)
    assert found.iterations < 3000


def test_lissa_of_batches_comes_close() -> None:
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(4, 200, SIZE, generator=generator, dtype=torch.float64)
    parts = rows.transpose(1, 2) @ rows / 200
    scale = max(float(torch.linalg.eigvalsh(part)[-1]) for part in parts)
    b = sides()
    options = LissaOptions(depth=400, repeats=4, damping=0.5, scale=scale)
    found = lissa(lambda v, batch: v @ parts[batch], b, 4, options).x_VP
    damped = parts.mean(dim=0) + 0.5 * torch.eye(SIZE, dtype=torch.float64)
    exact = torch.linalg.solve(damped, b.T).T
    assert (found - exact).norm() < 0.1 * exact.norm()


def test_lissa_does_not_diverge_though_its_scale_was_too_small() -> None:
    matrix, b = positive(20.0), sides()
    options = LissaOptions(depth=4000, damping=0.5, scale=4.0, tolerance=1e-12)
    found = lissa(lambda v, batch: v @ matrix, b, 1, options)
    damped = matrix + 0.5 * torch.eye(SIZE, dtype=torch.float64)
    torch.testing.assert_close(found.x_VP, torch.linalg.solve(damped, b.T).T, rtol=1e-6, atol=1e-9)


def test_lissa_of_nan_ends() -> None:
    with pytest.raises(NonFiniteGradient):
        lissa(lambda v, batch: v * torch.nan, sides(), 1, LissaOptions(depth=5, damping=0.1, scale=1.0))


def test_the_largest_eigenvalue_comes_from_below() -> None:
    matrix = positive(50.0)
    found = largest_eigenvalue(lambda v: v @ matrix, sides(1)[0], iterations=200, tolerance=1e-9)
    assert found == pytest.approx(50.0, rel=1e-4)
    assert largest_eigenvalue(lambda v: v @ matrix, sides(1)[0], iterations=3) <= 50.0 + 1e-9
    assert largest_eigenvalue(lambda v: v * 0, sides(1)[0]) == 0.0


def test_all_lanczos_steps_give_the_eigenpairs() -> None:
    matrix = positive() - 20 * torch.eye(SIZE, dtype=torch.float64)
    found = lanczos(lambda v: v @ matrix, sides(1)[0], SIZE)
    values = torch.linalg.eigvalsh(matrix).flip(0)
    torch.testing.assert_close(found.values_K, values)
    torch.testing.assert_close(found.vectors_KP @ matrix, found.values_K[:, None] * found.vectors_KP)
    identity = torch.eye(SIZE, dtype=torch.float64)
    torch.testing.assert_close(found.vectors_KP @ found.vectors_KP.T, identity)


def test_few_lanczos_steps_find_the_ends_of_the_spectrum() -> None:
    matrix = positive(1e4)
    found = lanczos(lambda v: v @ matrix, sides(1)[0], 12, size=2)
    assert len(found.values_K) == 2
    assert float(found.values_K[0]) == pytest.approx(1e4, rel=1e-6)


def test_an_exhausted_krylov_space_is_left() -> None:
    """Repeated eigenvalues: the space of any vector has one direction of each."""
    values = torch.tensor([5.0] * 4 + [1.0] * 3 + [0.0] * 5, dtype=torch.float64)
    vectors, _ = torch.linalg.qr(sides(12, 12))
    matrix = vectors @ torch.diag(values) @ vectors.T
    found = lanczos(lambda v: v @ matrix, sides(1, 12)[0], 12)
    torch.testing.assert_close(found.values_K, values, atol=1e-8, rtol=0)


def test_orthogonalising_twice_leaves_rounding() -> None:
    basis, _ = torch.linalg.qr(sides(5).T)
    vector = basis.T.sum(dim=0) * 1e6 + 1e-6 * sides(1)[0]
    rest = orthogonalize(vector, basis.T)
    assert (basis.T @ rest).norm() < 1e-9 * rest.norm()


def preconditioner(matrix: Tensor) -> Tensor:
    """An inverse near the matrix' own."""
    noise = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.linalg.inv(matrix + 0.02 * noise @ noise.T)


def test_a_preconditioner_changes_the_steps_and_not_the_solution() -> None:
    matrix, b = positive(1e4), sides()
    nearby = preconditioner(matrix)
    plain, helped = (
        conjugate_gradients(lambda v: v @ matrix, b, iterations=500, tolerance=1e-10, inverse=inverse)
        for inverse in (None, lambda v: v @ nearby)
    )
    torch.testing.assert_close(helped.x_VP, torch.linalg.solve(matrix, b.T).T)
    assert helped.iterations < plain.iterations / 2
    exact = conjugate_gradients(lambda v: v @ matrix, b, inverse=lambda v: torch.linalg.solve(matrix, v.T).T)
    assert exact.iterations == 1


def test_a_start_is_kept_and_repaired() -> None:
    matrix, b = positive(1e4), sides()
    expected = torch.linalg.solve(matrix, b.T).T
    vectors = torch.linalg.eigh(matrix).eigenvectors
    start = expected + 50 * vectors[:, 3]  # right but for one direction
    asked: list[Tensor] = []

    def product(v: Tensor) -> Tensor:
        asked.append(v)
        return v @ matrix

    none, one = (
        conjugate_gradients(product, b, iterations=steps, tolerance=0, start_VP=start) for steps in (0, 1)
    )
    assert len(asked) == 1 + 2, "the start's own product, and one a step"
    torch.testing.assert_close(none.x_VP, start)
    residual = (b - start @ matrix).norm(dim=1) / b.norm(dim=1)
    torch.testing.assert_close(none.residual_V, residual)
    torch.testing.assert_close(one.x_VP, expected, rtol=1e-6, atol=1e-8)
    assert one.steps_V.tolist() == [1, 1, 1]
    assert (one.residual_V < 1e-6).all()


def test_a_basis_may_be_rows_apart() -> None:
    basis = torch.linalg.qr(sides(5).T)[0].T.contiguous()
    vector, rows = sides(1)[0], list(basis)
    torch.testing.assert_close(coordinates(vector, rows), basis @ vector)
    torch.testing.assert_close(orthogonalize(vector, rows), orthogonalize(vector, basis))
    projected = basis @ positive(10.0) @ basis.T
    one, other = ritz_pairs_of(rows, projected, 3), ritz_pairs_of(basis, projected, 3)
    assert one.vectors_KP.shape == (3, SIZE)
    torch.testing.assert_close(one.vectors_KP, other.vectors_KP)
    torch.testing.assert_close(one.vectors_KP @ one.vectors_KP.T, torch.eye(3, dtype=torch.float64))
