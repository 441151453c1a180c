"""Per-example gradients as sums of outer products, never formed where factors serve.

Shapes: N examples, T positions of an example (tokens, patches; 1 for a plain vector), O rows and I columns
of a parameter seen as a matrix, D either of the two, K kept or projected coordinates.

The gradient of example n with respect to one parameter block is G_n = sum_u sum_t l_unt r_unt^T: for a
linear layer l is the gradient of its output and r its input. `u` runs over the uses of the block: the
calls of a module, and the modules that share a tied weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class MatrixBasis:
    """Coordinates along the columns of a matrix: a rotation, a truncation or a random projection."""

    matrix_DK: Float[Tensor, "D K"]

    @property
    def size(self) -> int:
        """Number of coordinates K."""
        return self.matrix_DK.shape[1]


@dataclass(frozen=True)
class CoordinateBasis:
    """Some of the original coordinates, as they are."""

    columns_K: Int[Tensor, "K"]

    @property
    def size(self) -> int:
        """Number of coordinates K."""
        return self.columns_K.shape[0]


Basis = MatrixBasis | CoordinateBasis

_ENTRIES = 1 << 22
"""Products in memory at a time where single entries of gradients are computed."""
_STRIP = 256
"""Rows of a second moment that are computed together, from their diagonal on."""


@runtime_checkable
class Factor(Protocol):
    """One side of the outer products of a batch: N x T vectors of D numbers."""

    @property
    def width(self) -> int:
        """D."""

    @property
    def positions(self) -> int:
        """T."""

    def along(self, basis: Basis) -> Float[Tensor, "N T K"]:
        """Compute the coordinates of every vector in a basis."""

    def dense(self) -> Float[Tensor, "N T D"]:
        """Write every vector out."""

    def nonzero(self) -> Tensor:
        """Bool [N, T]: which vectors are not exactly zero."""

    def second_moment(self, active_NT: Tensor, *, diagonal: bool) -> Tensor:
        """Compute the sum over the active positions of v v^T, or of its diagonal, for a float64 sum.

        Returns:
            [D, D], of which the upper triangle counts, or [D].
        """

    def examples(self, chosen: slice) -> "Factor":
        """Take the vectors of some of the examples."""


@dataclass(frozen=True)
class DenseFactor:
    """Vectors written out. `append_one` adds a last coordinate 1, which carries a bias."""

    values_NTD: Float[Tensor, "N T _"]
    append_one: bool = False

    @property
    def width(self) -> int:
        """D, the appended one included."""
        return self.values_NTD.shape[2] + self.append_one

    @property
    def positions(self) -> int:
        """T."""
        return self.values_NTD.shape[1]

    def along(self, basis: Basis) -> Float[Tensor, "N T K"]:
        """Compute the coordinates of every vector in a basis."""
        if isinstance(basis, CoordinateBasis):
            return self.dense()[:, :, basis.columns_K.to(self.values_NTD.device)]
        matrix_DK = basis.matrix_DK.to(self.values_NTD)
        if not self.append_one:
            return self.values_NTD @ matrix_DK
        return self.values_NTD @ matrix_DK[:-1] + matrix_DK[-1]

    def dense(self) -> Float[Tensor, "N T D"]:
        """Write every vector out."""
        if not self.append_one:
            return self.values_NTD
        return torch.cat([self.values_NTD, torch.ones_like(self.values_NTD[..., :1])], dim=2)

    def nonzero(self) -> Tensor:
        """Bool [N, T]: which vectors are not exactly zero."""
        if self.append_one:
            return torch.ones(self.values_NTD.shape[:2], dtype=torch.bool, device=self.values_NTD.device)
        return (self.values_NTD != 0).any(dim=2)

    def second_moment(self, active_NT: Tensor, *, diagonal: bool) -> Tensor:
        """Compute the sum over the active positions in the vectors' precision. What is below the diagonal is left out."""
        vectors_VD = self.dense()[active_NT]
        if diagonal:
            return vectors_VD.square().sum(dim=0)
        moment_DD = vectors_VD.new_zeros(self.width, self.width)
        for start in range(0, self.width, _STRIP):
            strip = slice(start, start + _STRIP)
            moment_DD[strip, start:] = vectors_VD[:, strip].T @ vectors_VD[:, start:]
        return moment_DD

    def examples(self, chosen: slice) -> "DenseFactor":
        """Take the vectors of some of the examples."""
        return DenseFactor(self.values_NTD[chosen], self.append_one)


@dataclass(frozen=True)
class OneHotFactor:
    """Unit vectors named by their index: the token side of an embedding, whose width is the vocabulary."""

    indices_NT: Int[Tensor, "N T"]
    width: int
    dtype: torch.dtype = torch.float32

    @property
    def positions(self) -> int:
        """T."""
        return self.indices_NT.shape[1]

    def along(self, basis: Basis) -> Float[Tensor, "N T K"]:
        """Compute the coordinates of every vector in a basis: a look-up."""
        if isinstance(basis, MatrixBasis):
            return basis.matrix_DK.to(self.indices_NT.device, self.dtype)[self.indices_NT]
        size = basis.size
        place_D = torch.full((self.width,), size, device=self.indices_NT.device)
        place_D[basis.columns_K.to(place_D.device)] = torch.arange(size, device=place_D.device)
        places_NT = place_D[self.indices_NT]
        hot = torch.zeros(*places_NT.shape, size + 1, dtype=self.dtype, device=places_NT.device)
        return hot.scatter_(2, places_NT[..., None], 1.0)[..., :size]

    def dense(self) -> Float[Tensor, "N T D"]:
        """Write every vector out."""
        return torch.nn.functional.one_hot(self.indices_NT, self.width).to(self.dtype)

    def nonzero(self) -> Tensor:
        """Bool [N, T]: all of them."""
        return torch.ones_like(self.indices_NT, dtype=torch.bool)

    def second_moment(self, active_NT: Tensor, *, diagonal: bool) -> Tensor:
        """Count of each index over the active positions, on a diagonal, float64."""
        counts_D = torch.bincount(self.indices_NT[active_NT], minlength=self.width).double()
        return counts_D if diagonal else torch.diag(counts_D)

    def examples(self, chosen: slice) -> "OneHotFactor":
        """Take the vectors of some of the examples."""
        return OneHotFactor(self.indices_NT[chosen], self.width, self.dtype)


def inner(one: Factor, other: Factor) -> Float[Tensor, "N T S"]:
    """Inner products of every vector of one factor with every vector of another, example by example."""
    if isinstance(one, OneHotFactor) and isinstance(other, OneHotFactor):
        return (one.indices_NT[:, :, None] == other.indices_NT[:, None, :]).to(one.dtype)
    if isinstance(one, OneHotFactor):
        return inner(other, one).transpose(1, 2)
    if isinstance(other, OneHotFactor):
        indices_NTS = other.indices_NT[:, None, :].expand(-1, one.dense().shape[1], -1)
        return one.dense().gather(2, indices_NTS)
    return torch.bmm(one.dense(), other.dense().transpose(1, 2))


@dataclass(frozen=True)
class Use:
    """One use of a parameter block: the two sides of its outer products."""

    left: Factor
    right: Factor

    def active(self) -> Tensor:
        """Bool [N, T]: positions that contribute to the gradient.

        Padding carries a gradient of exactly zero. Leaving such positions out of second moments makes the
        curvature independent of padding.
        """
        return self.left.nonzero() & self.right.nonzero()


@dataclass(frozen=True)
class KroneckerGradient:
    """The gradients of N examples with respect to one parameter block of O x I numbers."""

    uses: Sequence[Use]

    @property
    def shape(self) -> tuple[int, int]:
        """(O, I)."""
        return self.uses[0].left.width, self.uses[0].right.width

    @property
    def device(self) -> torch.device:
        """Device of the factors."""
        return _device(self.uses[0])

    def project(self, left: Basis, right: Basis) -> Float[Tensor, "N K1 K2"]:
        """Compute the coordinates of every gradient in the product of two bases: (L^T G_n R)."""
        total: Tensor | None = None
        for use in self.uses:
            left_NTK, right_NTK = use.left.along(left), use.right.along(right)
            if left_NTK.shape[1] == 1:
                part = left_NTK.transpose(1, 2) * right_NTK
            else:
                part = torch.bmm(left_NTK.transpose(1, 2), right_NTK)
            total = part if total is None else total + part
        assert total is not None
        return total

    def gather(self, left: Basis, right: Basis, rows_K: Tensor, columns_K: Tensor) -> Float[Tensor, "N K"]:
        """Compute some coordinates only: entry j is (L^T G_n R)[rows_K[j], columns_K[j]].

        With one position an example the K products are formed and nothing else.
        """
        if all(use.left.positions == 1 for use in self.uses):
            parts = [
                use.left.along(left)[:, 0][:, rows_K] * use.right.along(right)[:, 0][:, columns_K]
                for use in self.uses
            ]
            return torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        return self.project(left, right)[:, rows_K, columns_K]

    def entries(self, rows_K: Tensor, columns_K: Tensor) -> Float[Tensor, "N K"]:
        """Compute some entries of every gradient, G_n[rows_K[j], columns_K[j]]. No other is formed."""
        used_rows, left_K = torch.unique(rows_K, return_inverse=True)
        used_columns, right_K = torch.unique(columns_K, return_inverse=True)
        total: Tensor | None = None
        for use in self.uses:
            left_NTR = use.left.along(CoordinateBasis(used_rows))
            right_NTC = use.right.along(CoordinateBasis(used_columns))
            step = max(1, _ENTRIES // (left_NTR.shape[0] * left_NTR.shape[1]))
            pairs = zip(left_K.split(step), right_K.split(step), strict=True)
            part = torch.cat([(left_NTR[:, :, r] * right_NTC[:, :, c]).sum(dim=1) for r, c in pairs], dim=1)
            total = part if total is None else total + part
        assert total is not None
        return total

    def against(self, matrix_OI: Float[Tensor, "O I"]) -> list[Float[Tensor, "N T"]]:
        """Compute the inner product of every outer product with a matrix: l^T M r, for each use and position.

        Summed over positions and uses it is the gradients' inner product with the matrix.
        """
        return [
            ((use.left.dense() @ matrix_OI.to(use.left.dense())) * use.right.dense()).sum(dim=2)
            for use in self.uses
        ]

    def squared_norms(self) -> Float[Tensor, "N"]:
        """Compute the squared length of every gradient, from inner products of the factors where those are fewer."""
        rows, columns = self.shape
        positions = max(use.left.positions for use in self.uses)
        if positions * (rows + columns) > rows * columns:
            return self._norms_by_rows()
        total_N: Tensor | None = None
        for one in self.uses:
            for other in self.uses:
                product_NTS = inner(one.left, other.left) * inner(one.right, other.right)
                part_N = product_NTS.sum(dim=(1, 2))
                total_N = part_N if total_N is None else total_N + part_N
        assert total_N is not None
        return total_N

    def _norms_by_rows(self) -> Float[Tensor, "N"]:
        rows, columns = self.shape
        step = max(1, (1 << 20) // columns)
        parts = [self.rows(r, min(r + step, rows)).square().sum(dim=(1, 2)) for r in range(0, rows, step)]
        return torch.stack(parts).sum(dim=0)

    def dense(self) -> Float[Tensor, "N O I"]:
        """Write every gradient out."""
        total = _product(self.uses[0].left.dense(), self.uses[0].right)
        for use in self.uses[1:]:
            total = total + _product(use.left.dense(), use.right)
        return total

    def rows(self, start: int, stop: int) -> Float[Tensor, "N o I"]:
        """Write out rows `start` to `stop` of every gradient, so that dense projections need bounded memory."""
        chosen = torch.arange(start, stop, device=self.device)
        return torch.stack(
            [_product(use.left.along(CoordinateBasis(chosen)), use.right) for use in self.uses]
        ).sum(dim=0)

    def is_finite(self) -> bool:
        """Tell whether no factor holds NaN or infinity."""
        sides = [side for use in self.uses for side in (use.left, use.right)]
        return all(_is_finite(side.values_NTD) for side in sides if isinstance(side, DenseFactor))


def _product(left_NTo: Tensor, right: Factor) -> Tensor:
    """Sum over the positions of l r^T: [N, o, I]. A matrix that came as its own columns is not multiplied again."""
    if isinstance(right, OneHotFactor) and right.indices_NT.shape == (1, right.width):
        in_order = torch.arange(right.width, device=left_NTo.device)
        if torch.equal(right.indices_NT[0], in_order):
            return left_NTo.transpose(1, 2)
    return left_NTo.transpose(1, 2) @ right.dense()


def _device(use: Use) -> torch.device:
    left = use.left
    return left.indices_NT.device if isinstance(left, OneHotFactor) else left.dense().device


def _is_finite(values: Tensor) -> bool:
    """One pass and no copy, unless the sum overflows or there is something to find."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


@dataclass(frozen=True)
class BatchGradients:
    """The objective's values and every block's gradients of one batch."""

    objective_N: Float[Tensor, "N"]
    blocks: Mapping[str, KroneckerGradient]

    def free(self) -> None:
        """Let go of the gradients, which are large. The values stay."""
        if isinstance(self.blocks, dict):
            self.blocks.clear()

    def __len__(self) -> int:
        return self.objective_N.shape[0]

    def examples(self, chosen: slice) -> "BatchGradients":
        """Take the gradients of some of the examples."""
        blocks = {
            name: replace(
                gradient,
                uses=[Use(use.left.examples(chosen), use.right.examples(chosen)) for use in gradient.uses],
            )
            for name, gradient in self.blocks.items()
        }
        return BatchGradients(self.objective_N[chosen], blocks)

    def dense(self) -> Float[Tensor, "N P"]:
        """Write out the whole gradient of every example, block after block: for small models and tests."""
        return torch.cat([g.dense().flatten(1) for g in self.blocks.values()], dim=1)
