"""Lazy blocks and entries of a batch's gradients, so that memory stays bounded.

Shapes: as in `byline.gradients.outer_products.factors`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from byline.gradients.outer_products.factors import (
    Basis,
    BatchGradients,
    CoordinateBasis,
    DenseFactor,
    Factor,
    KroneckerGradient,
    MatrixBasis,
    Use,
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
        """Compute the coordinates in the product of two bases, from stretches of whole rows.

        Of a side that keeps some of its own coordinates, no other is formed: a vocabulary is never written out.
        """
        stretches = self._among(left, right).stretches(right, max(left.size, right.size))
        if isinstance(left, CoordinateBasis):
            return torch.cat([part_NoK for _, part_NoK in stretches], dim=1)
        turned = (
            left.matrix_DK[start : start + part_NoK.shape[1]].to(part_NoK).T @ part_NoK
            for start, part_NoK in stretches
        )
        return reduce(torch.add, turned)

    def stretches(self, right: Basis, widest: int) -> Iterator[tuple[int, Float[Tensor, "N o K2"]]]:
        """Write out stretches of whole rows, along a matrix on the right if it is one.

        Args:
            right: Basis of the columns. Coordinates are taken as they come.
            widest: Numbers that the consumer makes of each row, at most.

        Yields:
            First row of a stretch, and the stretch.
        """
        rows, columns = self.shape
        count = self.uses[0].active().shape[0]
        step = max(1, CHUNK // (max(columns, widest) * count))
        for start in range(0, rows, step):
            rows_NoI = self.rows(start, min(start + step, rows))
            along = right.matrix_DK.to(rows_NoI) if isinstance(right, MatrixBasis) else None
            yield start, rows_NoI if along is None else rows_NoI @ along

    def _among(self, left: Basis, right: Basis) -> "EntrywiseGradient":
        """Take the rows and columns of bases that are coordinates; all of a side with a matrix."""
        uses = [Use(_chosen(use.left, left), _chosen(use.right, right)) for use in self.uses]
        tables = []
        for table in self.tables:
            some = table if isinstance(left, MatrixBasis) else table[left.columns_K.to(table.device)]
            tables.append(
                some if isinstance(right, MatrixBasis) else some[:, right.columns_K.to(table.device)]
            )
        return EntrywiseGradient(uses, self.function, tables)

    def gather(self, left: Basis, right: Basis, rows_K: Tensor, columns_K: Tensor) -> Float[Tensor, "N K"]:
        """Compute some coordinates of `project`."""
        return self.project(left, right)[:, rows_K, columns_K]

    def squared_norms(self) -> Float[Tensor, "N"]:
        """Compute the squared length of every example's gradient."""
        return self._norms_by_rows()


def _chosen(factor: Factor, basis: Basis) -> Factor:
    return factor if isinstance(basis, MatrixBasis) else DenseFactor(factor.along(basis))
