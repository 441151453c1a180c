"""Lazy blocks and entries of a batch's gradients, so that memory stays bounded.

Shapes: as in `byline.gradients.outer_products.factors`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from byline.gradients.outer_products.factors import (
    Basis,
    BatchGradients,
    DenseFactor,
    KroneckerGradient,
    MatrixBasis,
)
from byline.projection.dense import CHUNK

Entrywise = Callable[..., Tensor]
"""(entries of gradients [N, ...], the same entries of each table [...]) -> what they become [N, ...]."""


class LazyBlocks(Mapping[str, KroneckerGradient]):
    """Blocks that are made anew whenever they are looked up: one at a time is in memory."""

    def __init__(
        self,
        blocks: Mapping[str, KroneckerGradient],
        change: Callable[[str, KroneckerGradient], KroneckerGradient],
    ) -> None:
        self._blocks, self._change = blocks, change

    def __getitem__(self, name: str) -> KroneckerGradient:
        return self._change(name, self._blocks[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


def map_blocks(
    gradients: BatchGradients, change: Callable[[str, KroneckerGradient], KroneckerGradient]
) -> BatchGradients:
    """Change every block of a batch when it is looked up."""
    return BatchGradients(gradients.objective_N, LazyBlocks(gradients.blocks, change))


@dataclass(frozen=True)
class EntrywiseGradient(KroneckerGradient):
    """A function of every entry of each example's gradient: no sum of a few outer products any more.

    `uses` are those of the gradient itself. Results are written out in stretches of whole rows.
    """

    function: Entrywise
    tables: Sequence[Float[Tensor, "O I"]]
    """Further arguments of the function, by entry."""

    def rows(self, start: int, stop: int) -> Float[Tensor, "N o I"]:
        """Write out rows `start` to `stop`."""
        return self.function(super().rows(start, stop), *(table[start:stop] for table in self.tables))

    def dense(self) -> Float[Tensor, "N O I"]:
        """Write everything out."""
        return self.function(super().dense(), *self.tables)

    def entries(self, rows_K: Tensor, columns_K: Tensor) -> Float[Tensor, "N K"]:
        """Compute some entries. No other is formed."""
        own = (table[rows_K.to(table.device), columns_K.to(table.device)] for table in self.tables)
        return self.function(super().entries(rows_K, columns_K), *own)

    def project(self, left: Basis, right: Basis) -> Float[Tensor, "N K1 K2"]:
        """Compute the coordinates in the product of two bases, added up over stretches of whole rows."""
        rows, columns = self.shape
        count = self.uses[0].active().shape[0]
        step = max(1, CHUNK // (max(columns, left.size, right.size) * count))
        total: Tensor | None = None
        for start in range(0, rows, step):
            rows_NoI = self.rows(start, min(start + step, rows))
            part = _along_rows(DenseFactor(rows_NoI).along(right), left, start)
            total = part if total is None else total + part
        assert total is not None
        return total

    def gather(self, left: Basis, right: Basis, rows_K: Tensor, columns_K: Tensor) -> Float[Tensor, "N K"]:
        """Compute some coordinates of `project`."""
        return self.project(left, right)[:, rows_K, columns_K]

    def squared_norms(self) -> Float[Tensor, "N"]:
        """Compute the squared length of every example's gradient."""
        return self._norms_by_rows()


def _along_rows(part_NoK: Tensor, left: Basis, start: int) -> Float[Tensor, "N K1 K2"]:
    """Compute what rows from `start` on add to the coordinates of the left side."""
    stop = start + part_NoK.shape[1]
    if isinstance(left, MatrixBasis):
        return left.matrix_DK[start:stop].to(part_NoK).T @ part_NoK
    rows_K = left.columns_K.to(part_NoK.device)
    within_K = (rows_K >= start) & (rows_K < stop)
    made = part_NoK.new_zeros(len(part_NoK), left.size, part_NoK.shape[2])
    made[:, within_K] = part_NoK[:, rows_K[within_K] - start]
    return made
