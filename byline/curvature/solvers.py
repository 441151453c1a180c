"""Inverse products H^-1 b, largest eigenvalue and Ritz pairs of a symmetric matrix that only multiplies vectors.

`product(v)` is H v, damping included, of several vectors at once:

    conjugate gradients     the best x in the Krylov space of b. H must be positive definite (Hestenes & Stiefel 1952);
                            with a preconditioner M^-1 the space of M^-1 H and M^-1 b, beside a start
    LiSSA                   x <- b + x - H x / s, one batch's H at a time (Agarwal et al. 2017; Koh & Liang 2017)
    power iteration         the largest |eigenvalue|, from below
    Lanczos                 T = Q^T H Q over an orthonormal basis Q of the Krylov space, with full
                            reorthogonalization; eigenvalues of T are Ritz values, Q times its eigenvectors Ritz vectors

Vectors are rows. Shapes: V vectors at once, P numbers of a vector, K Ritz pairs, S steps.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from byline.errors import NonFiniteGradient

Product = Callable[[Tensor], Tensor]
"""`v_VP -> (H v)_VP`, row by row."""

_TINY = 1e-300
_HOPELESS = 1e9
NEGLIGIBLE = 100
"""Largest remainder of a vector that counts as rounding, relative to its length before, in units of the basis' precision.
The Krylov space is then exhausted: the remainder is as much along the basis as away from it."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A solver's result and its residual."""

    x_VP: Tensor
    """Solutions, in the precision of the right-hand sides."""
    iterations: int
    """Products of all right-hand sides that were taken."""
    steps_V: Tensor
    """int64: the steps of each row, at most `iterations`."""
    residual_V: Tensor
    """|b - H x| / |b| as the solver last knew it, float64."""
    indefinite_V: Tensor
    """Bool: H was met with v^T H v <= 0, so that the row was left where it was."""


def conjugate_gradients(
    product: Product,
    b_VP: Tensor,
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    inverse: Product | None = None,
    start_VP: Tensor | None = None,
) -> Solution:
    """Solve H x = b for every row, each with its own steps, all with one product an iteration.

    A row stops at `tolerance`, at a direction in which H is not positive, and where its residual is exactly zero.
    The others go on. A row that has stopped does not change any more, so no number past convergence is ever formed.

    A start takes one product that is no step. A start that is right along most directions stays so, and the first steps
    go to the others. Steps from zero go to the largest eigenvalues first, and reach the rest much later.

    Args:
        product: H, positive definite.
        b_VP: Right-hand sides [V, P].
        iterations: The most steps.
        tolerance: |b - H x| / |b| at which a row is done.
        inverse: M^-1, symmetric and positive definite, near H^-1. None takes the identity.
        start_VP: x0. None starts at zero.

    Returns:
        The solutions, the steps taken and each row's residual.
    """
    precondition = inverse or _unchanged
    x_VP = torch.zeros_like(b_VP) if start_VP is None else start_VP.clone()
    r_VP = b_VP.clone() if start_VP is None else b_VP - product(start_VP).to(b_VP)
    z_VP = precondition(r_VP)
    p_VP = z_VP
    length_V = _dot(b_VP, b_VP).sqrt()
    rho_V, norm_V = _dot(r_VP, z_VP), _dot(r_VP, r_VP).sqrt()
    indefinite_V = torch.zeros_like(length_V, dtype=torch.bool)
    steps_V = torch.zeros(len(b_VP), dtype=torch.int64, device=b_VP.device)
    for _ in range(iterations):
        active_V = (norm_V > tolerance * length_V) & ~indefinite_V
        if not bool(active_V.any()):
            break
        steps_V += active_V
        h_VP = torch.zeros_like(b_VP)
        h_VP[active_V] = product(p_VP[active_V]).to(b_VP)
        curvature_V = _dot(p_VP, h_VP)
        indefinite_V |= active_V & (curvature_V <= 0)
        active_V &= curvature_V > 0
        alpha_V1 = _where(active_V, rho_V / curvature_V.clamp_min(_TINY)).to(b_VP)
        x_VP += alpha_V1 * p_VP
        r_VP = r_VP - alpha_V1 * h_VP  # a new tensor: without a preconditioner z and p are r itself
        z_VP = precondition(r_VP)
        new_V = _dot(r_VP, z_VP)
        beta_V1 = _where(active_V, new_V / rho_V.clamp_min(_TINY)).to(b_VP)
        p_VP = torch.where(active_V[:, None], z_VP + beta_V1 * p_VP, p_VP)
        rho_V, norm_V = torch.where(active_V, new_V, rho_V), _dot(r_VP, r_VP).sqrt()
    residual_V = norm_V / length_V.clamp_min(_TINY)
    return Solution(
        x_VP=x_VP,
        iterations=int(steps_V.max()) if len(steps_V) else 0,
        steps_V=steps_V,
        residual_V=residual_V,
        indefinite_V=indefinite_V,
    )


def _unchanged(vectors_VP: Tensor) -> Tensor:
    return vectors_VP


@dataclass(frozen=True, kw_only=True)
class LissaOptions:
    """Options of LiSSA."""

    depth: int = 1000
    """Steps of a repeat."""
    repeats: int = 1
    """Runs that are averaged. Each begins at another batch."""
    damping: float = 0.0
    """Added to H, as a multiple of the identity: an absolute number."""
    scale: float
    """s: more than the largest eigenvalue of any batch's H. `largest_eigenvalue` estimates it."""
    tolerance: float = 1e-7
    """Change of x in a whole pass over the batches, relative to x, at which a repeat ends early."""


def lissa(
    product: Callable[[Tensor, int], Tensor], b_VP: Tensor, batches: int, options: LissaOptions
) -> Solution:
    """Solve (H + damping) x = b by steps with one batch's H each.

    A step is x <- b + x - (H_batch + damping) x / s. Its fixed point is s times the solution. With s above every
    batch's largest eigenvalue plus damping no step lengthens an error, so it cannot diverge. Should the estimate have
    been too low, |x| passes what a contraction allows (|b| s / damping); s is then doubled and the run begins again.

    Args:
        product: `(v_VP, batch) -> H_batch v`, positive semi-definite.
        b_VP: Right-hand sides [V, P].
        batches: Number of batches. Steps take them in turn.
        options: Depth, repeats, damping and scale.

    Returns:
        The mean over the repeats. The residual is the last pass' relative change.

    Raises:
        NonFiniteGradient: No scale is large enough: a product is NaN or infinite.
    """
    scale = (options.scale + options.damping) * 1.05
    total_VP, taken = torch.zeros_like(b_VP), 0
    change_V = torch.zeros(len(b_VP), dtype=torch.float64, device=b_VP.device)
    repeat = 0
    while repeat < options.repeats:
        x_VP, steps, change_V = _lissa_run(product, b_VP, (repeat, batches), scale, options)
        taken += steps
        if bool(_outgrown(x_VP, b_VP, scale, options.damping).any()):
            if scale > _HOPELESS * options.scale:
                raise NonFiniteGradient(
                    "LiSSA's steps are NaN or grow whatever their size: look at the checkpoint"
                )
            # All repeats share one scale, so those before begin again too.
            scale, total_VP, repeat = scale * 2, torch.zeros_like(b_VP), 0
            continue
        total_VP += x_VP / scale
        repeat += 1
    return Solution(
        x_VP=total_VP / options.repeats,
        iterations=taken,
        steps_V=torch.full(change_V.shape, taken, dtype=torch.int64, device=change_V.device),
        residual_V=change_V,
        indefinite_V=torch.zeros_like(change_V, dtype=torch.bool),
    )


def _lissa_run(
    product: Callable[[Tensor, int], Tensor],
    b_VP: Tensor,
    place: tuple[int, int],
    scale: float,
    options: LissaOptions,
) -> tuple[Tensor, int, Tensor]:
    """One repeat: x, steps taken, and the change of x in the last pass over the batches."""
    repeat, batches = place
    offset = repeat * batches // options.repeats
    x_VP, before_VP = b_VP.clone(), torch.zeros_like(b_VP)
    change_V = torch.ones(len(b_VP), dtype=torch.float64, device=b_VP.device)
    for step in range(options.depth):
        curved_VP = product(x_VP, (offset + step) % batches).to(b_VP) + options.damping * x_VP
        x_VP = b_VP + x_VP - curved_VP / scale
        if (step + 1) % batches == 0:
            length_V = _dot(x_VP, x_VP).sqrt().clamp_min(_TINY)
            change_V = _dot(x_VP - before_VP, x_VP - before_VP).sqrt() / length_V
            outgrown = bool(_outgrown(x_VP, b_VP, scale, options.damping).any())
            if outgrown or bool((change_V <= options.tolerance).all()):
                return x_VP, step + 1, change_V
            before_VP = x_VP
    return x_VP, options.depth, change_V


def _outgrown(x_VP: Tensor, b_VP: Tensor, scale: float, damping: float) -> Tensor:
    """Tell whether x is longer than steps of a contraction can make it, or no number any more: bool [V]."""
    bound_V = _dot(b_VP, b_VP).sqrt() * (scale / max(damping, _TINY)) * 1.01
    return ~(_dot(x_VP, x_VP).sqrt() <= bound_V)


def largest_eigenvalue(
    product: Product, start_P: Tensor, *, iterations: int = 20, tolerance: float = 1e-3
) -> float:
    """Estimate the largest |eigenvalue| by power iteration, from below, but for rounding.

    Args:
        product: H.
        start_P: A vector that is not orthogonal to the eigenvector: random numbers.
        iterations: The most products.
        tolerance: Relative change at which to stop.

    Returns:
        |H v| of the last unit vector v. Zero for a matrix of zeros.
    """
    v_1P, found = (start_P / start_P.norm())[None], 0.0
    for _ in range(iterations):
        h_1P = product(v_1P).to(v_1P)
        length = float(h_1P.norm())
        if length == 0.0 or abs(length - found) <= tolerance * length:
            return length
        found, v_1P = length, h_1P / length
    return found


@dataclass(frozen=True, kw_only=True)
class RitzPairs:
    """Approximate eigenpairs, largest value first."""

    values_K: Tensor
    """float64."""
    vectors_KP: Tensor
    """Orthonormal rows."""


_COLUMNS = 1 << 16
"""Numbers of each direction that are in double precision at a time: a basis may be kept in single."""
Directions = Tensor | Sequence[Tensor]
"""A basis [S, P], or its S rows apart: together they would be in memory twice."""


def _stretches(basis_SP: Directions) -> Iterator[Tensor]:
    """Cut a basis into stretches of columns.

    Yields:
        [S, C] of each.
    """
    if isinstance(basis_SP, Tensor):
        yield from torch.split(basis_SP, _COLUMNS, dim=1)
        return
    for parts in zip(*(torch.split(row_P, _COLUMNS) for row_P in basis_SP), strict=True):
        yield torch.stack(parts)


def coordinates(vector_P: Tensor, basis_SP: Directions) -> Tensor:
    """Inner products of a vector with every direction, added up in the vector's precision: [S]."""
    parts = zip(_stretches(basis_SP), torch.split(vector_P, _COLUMNS), strict=True)
    return torch.stack([part_SC.to(vector_P) @ part_C for part_SC, part_C in parts]).sum(dim=0)


def orthogonalize(vector_P: Tensor, basis_SP: Directions) -> Tensor:
    """Take a basis' directions out of a vector, twice, since once leaves rounding of their size behind."""
    for _ in range(2):  # "twice is enough" (Parlett): one pass leaves rounding of the basis behind
        along_S = coordinates(vector_P, basis_SP)
        parts = [along_S @ part_SC.to(vector_P) for part_SC in _stretches(basis_SP)]
        vector_P = vector_P - torch.cat(parts)
    return vector_P


def next_direction(product_P: Tensor, basis_SP: Directions, fresh: Iterable[Tensor]) -> Tensor:
    """Continue an orthonormal basis of a Krylov space by a unit vector.

    Args:
        product_P: H times the last vector of the basis.
        basis_SP: Orthonormal rows so far, S < P.
        fresh: Random vectors [P], taken where the space is exhausted: its complement is explored from there.

    Returns:
        A unit vector orthogonal to the basis.
    """
    least = NEGLIGIBLE * torch.finfo(basis_SP[0].dtype).eps
    rest_P = orthogonalize(product_P, basis_SP)
    if float(rest_P.norm()) > least * float(product_P.norm()):
        return _unit(rest_P)
    for drawn_P in fresh:
        rest_P = orthogonalize(drawn_P, basis_SP)
        if float(rest_P.norm()) > least * float(drawn_P.norm()):
            return _unit(rest_P)
    raise ValueError("expected a vector outside of the basis, got none")


def _unit(vector_P: Tensor) -> Tensor:
    unit_P: Tensor = vector_P / torch.linalg.vector_norm(vector_P)
    return unit_P


def ritz_pairs(basis_SP: Tensor, products_SP: Tensor, size: int | None = None) -> RitzPairs:
    """Rayleigh and Ritz's approximations of eigenpairs within a subspace.

    Args:
        basis_SP: Orthonormal rows.
        products_SP: H times each.
        size: Number of the largest pairs to keep. None keeps all.

    Returns:
        Values in descending order, with sign, and their vectors.
    """
    projected_SS = basis_SP @ products_SP.T
    return ritz_pairs_of(basis_SP, projected_SS, size)


def ritz_pairs_of(basis_SP: Directions, projected_SS: Tensor, size: int | None = None) -> RitzPairs:
    """Compute Ritz pairs as `ritz_pairs` does, from Q H Q^T itself."""
    symmetric_SS = (projected_SS + projected_SS.T) / 2
    values_S, vectors_SS = torch.linalg.eigh(symmetric_SS.double())
    kept_KS = vectors_SS.flip(1).T[:size].to(basis_SP[0])
    vectors_KP = kept_KS.new_empty(len(kept_KS), len(basis_SP[0]))
    start = 0
    for part_SC in _stretches(basis_SP):
        torch.matmul(kept_KS, part_SC, out=vectors_KP[:, start : start + part_SC.shape[1]])
        start += part_SC.shape[1]
    return RitzPairs(values_K=values_S.flip(0)[:size], vectors_KP=vectors_KP)


def lanczos(product: Product, start_P: Tensor, steps: int, size: int | None = None) -> RitzPairs:
    """Ritz pairs of a symmetric matrix (Arnoldi's method, whose Hessenberg matrix is then tridiagonal).

    Args:
        product: H, symmetric. It may be indefinite.
        start_P: First direction: random numbers.
        steps: Products to take, at most P. As many as P give the exact eigenpairs.
        size: Pairs to keep. None keeps all.

    Returns:
        The pairs of the largest values.
    """
    basis = [start_P / start_P.norm()]
    products: list[Tensor] = []
    generator = torch.Generator().manual_seed(0)
    count = min(steps, len(start_P))
    for step in range(count):
        products.append(product(basis[-1][None])[0].to(start_P))
        if step + 1 < count:
            fresh = (torch.randn(len(start_P), generator=generator).to(start_P) for _ in range(8))
            basis.append(next_direction(products[-1], torch.stack(basis), fresh))
    return ritz_pairs(torch.stack(basis), torch.stack(products), size)


def _dot(one_VP: Tensor, other_VP: Tensor) -> Tensor:
    """float64 [V]."""
    return (one_VP.double() * other_VP.double()).sum(dim=1)


def _where(active_V: Tensor, values_V: Tensor) -> Tensor:
    """[V, 1]: the values, zero where a row has stopped."""
    return torch.where(active_V, values_V, torch.zeros_like(values_V))[:, None]
