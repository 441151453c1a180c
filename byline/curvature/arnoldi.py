"""The strongest eigenpairs of the Hessian or the Gauss-Newton matrix, by Lanczos steps over the training set.

    H ~ sum_k theta_k v_k v_k^T over the largest Ritz pairs.    Feature = (v_k . g) / sqrt(theta_k + damping * mean theta)

Arnoldi's iteration of Schioppa et al. 2022 ("Scaling Up Influence Functions"); for a symmetric matrix it is Lanczos',
here with full reorthogonalization. Ritz values that are not positive are left out, so that the inverse has a root.

Every step is a statistic of its own: one product of the matrix with the last direction, added up over the sample in
blocks; so steps are units of a build, resumed like any other. Between steps all directions so far lie on disk and in
memory, `steps` times the model's numbers in single precision. Neither depends on the number of training points.

Shapes: S steps so far, P numbers of all parameters together, K Ritz pairs.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.curvature.base import SCRATCH, BatchProducts, EveryFit, Preconditioner, Source, Statistic
from byline.curvature.labels import Labels
from byline.curvature.products import Matrix
from byline.curvature.solvers import coordinates, next_direction, ritz_pairs_of
from byline.curvature.sums import Sums
from byline.errors import InvalidRecipe
from byline.gradients.outer_products.blocks import Block
from byline.projection.base import ProjectionSpec
from byline.projection.ritz import VECTORS, RitzProjection
from byline.randomness import random_normals, random_signs, stream_key
from byline.types import State

VALUES = "ritz.values"
"""Name in the state: float64 [K]."""
LARGEST_BASIS = 16 << 30
"""Bytes of all directions together, at most: they are in memory between steps."""
_ROUNDING = 1e-6
"""Ritz values below this part of the largest are rounding of single precision, not curvature."""


class Arnoldi(BaseModel):
    """The curvature matrix within the space of its strongest directions. Nothing outside of it has influence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["arnoldi"] = "arnoldi"
    matrix: Matrix = "hessian"
    """The Hessian, or the Gauss-Newton matrix (needs `Task.outputs`)."""
    steps: int = Field(default=128, ge=1, le=1 << 14)
    """Products over the sample, and directions that are kept meanwhile: twice the projection's size or more."""
    sample: int | None = Field(default=1024, ge=1)
    """Training points, drawn at random, that every step runs over. None takes all."""
    damping: float = Field(default=0.1, ge=0, le=1e6)
    """Damping, in units of the mean of the kept Ritz values."""

    @property
    def labels(self) -> Labels:
        """The curvature is of the loss at the data's own labels."""
        return "given"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List one statistic for each step."""
        assert isinstance(projection, RitzProjection)
        width = sum(block.rows * block.columns for block in blocks)
        last = min(self.steps, width) - 1
        if 4 * width * last > LARGEST_BASIS:
            raise InvalidRecipe(
                f"expected directions of at most {LARGEST_BASIS >> 30} GiB for curvature 'arnoldi', got {last + 1} steps of "
                f"{width:,} numbers: attribute fewer layers (Task.layers), take fewer curvature.steps, or recipe 'ekfac'"
            )
        sizes = [projection.size if step == last else None for step in range(last + 1)]
        return tuple(LanczosStatistic(self, width, step, size) for step, size in enumerate(sizes))

    def preconditioner(self, state: State) -> Preconditioner:
        """Scale every coordinate."""
        values_K = state[VALUES]
        return RitzPreconditioner(values_K + self.damping * values_K.mean())


class RitzPreconditioner:
    """Powers of a diagonal."""

    def __init__(self, damped_K: Tensor) -> None:
        self._damped_K = damped_K

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Every coordinate scaled."""
        return phi_NK * self._damped_K.pow(power).to(phi_NK)


class LanczosStatistic(EveryFit):
    """One step: the product with the last direction, and the next direction.

    Args:
        options: The curvature's.
        width: P.
        step: From 0.
        size: Ritz pairs to keep, at the last step. None at all others.
    """

    source: Source = "products"
    labels: Labels = "given"

    def __init__(self, options: Arnoldi, width: int, step: int, size: int | None) -> None:
        self.name = f"lanczos.{step:05d}"
        self.sample = options.sample
        self._matrix, self._width, self._step, self._size = options.matrix, width, step, size

    def measure(self, batch: BatchProducts, state: State) -> State:
        """Compute the product over one batch."""
        direction_P = state[_direction(self._step)] if self._step else _first(self._width)
        return {"product": batch(direction_P[None].double(), self._matrix)[0]}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the next direction, or, at the last step, the Ritz pairs.

        Raises:
            InvalidRecipe: No Ritz value is positive.
        """
        product_P = sums["product"] / count
        first_P = _first(self._width).to(product_P.device)
        basis_SP = [first_P, *(state[_direction(n)] for n in range(1, self._step + 1))]
        column_S = coordinates(product_P, basis_SP)
        if self._size is None:
            direction_P = next_direction(product_P, basis_SP, self._fresh(product_P))
            return {_column(self._step): column_S, _direction(self._step + 1): direction_P.float()}
        columns = [*(state[_column(n)] for n in range(self._step)), column_S]
        pairs = ritz_pairs_of(basis_SP, _symmetric(columns), self._size)
        kept = pairs.values_K > _ROUNDING * pairs.values_K.abs().max()
        if not bool(kept.any()):
            raise InvalidRecipe(
                f"expected a {self._matrix} with a positive eigenvalue, got none in {self._step + 1} steps: take "
                f"curvature.matrix = 'ggn', more curvature.steps, or weights that are trained"
            )
        vectors_KP = pairs.vectors_KP if bool(kept.all()) else pairs.vectors_KP[kept]
        return {VALUES: pairs.values_K[kept], VECTORS: vectors_KP.float().contiguous()}

    def _fresh(self, like_P: Tensor) -> Iterator[Tensor]:
        """Random vectors, where the Krylov space is exhausted.

        Yields:
            Eight at most: one is enough.
        """
        for attempt in range(8):
            key = stream_key(0, "lanczos", self._step, attempt)
            yield random_normals(key, 0, 1, self._width, like_P.device)[0].to(like_P)


def _first(width: int) -> Tensor:
    """A unit vector of random signs: float32 [P]."""
    signs_P = random_signs(stream_key(0, "lanczos"), 0, 1, width, torch.device("cpu"))[0]
    unit_P: Tensor = signs_P / width**0.5
    return unit_P


def _direction(step: int) -> str:
    return f"{SCRATCH}lanczos.{step:05d}.direction"


def _column(step: int) -> str:
    return f"{SCRATCH}lanczos.{step:05d}.column"


def _symmetric(columns: Sequence[Tensor]) -> Tensor:
    """Q H Q^T from its upper triangle's columns: float64 [S, S]."""
    size = len(columns)
    upper_SS = torch.stack(
        [torch.nn.functional.pad(column, (0, size - len(column))) for column in columns], dim=1
    )
    return upper_SS + upper_SS.triu(1).T
