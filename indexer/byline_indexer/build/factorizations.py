"""Stand-ins for the factorizations that end a fit, so that a trial does not take as long as the build's own.

A model has hundreds of matrices of a few sizes. One of each size is factorized, a large one in part, and the others are
charged what it took. What they return has the right shapes and is of no use otherwise.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LARGEST = 1024
"""Rows up to which a matrix is factorized. The time of a larger one is the cube's part."""
TRIALS = 2
"""Times that a factorization of each size is measured."""


class Factorizations(TorchFunctionMode):
    """Replaces eigendecompositions, Cholesky factorizations and triangular solutions while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.charged = 0.0
        """Seconds that were not spent."""
        self._known: dict[tuple[Any, ...], float] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run any other function as it is."""
        stand_in = _STAND_INS.get(func)
        if stand_in is None or not isinstance(args[0], Tensor) or args[0].dim() != 2:
            return func(*args, **(kwargs or {}))
        key = (func, args[0].dtype, *(tuple(each.shape) for each in args if isinstance(each, Tensor)))
        if key not in self._known:
            self._known[key] = _seconds(func, args, dict(kwargs or {}))
        self.charged += self._known[key]
        return stand_in(*args)


def _seconds(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Measure a factorization, or that of a corner of the matrix. The first one loads libraries, so the shortest counts."""
    rows = min(len(args[0]), LARGEST)
    corner = [each[:rows, :rows].contiguous() if isinstance(each, Tensor) else each for each in args]

    def once() -> float:
        start = time.perf_counter()
        func(*corner, **kwargs)
        if corner[0].is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return min(once() for _ in range(TRIALS)) * (len(args[0]) / rows) ** 3


def _eigenpairs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    return matrix.diagonal().sort().values, torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def _cholesky(matrix: Tensor) -> tuple[Tensor, Tensor]:
    factor = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return factor, torch.zeros((), dtype=torch.int32, device=matrix.device)


def _solution(factor: Tensor, right: Tensor) -> Tensor:
    del factor
    return right.clone()


_STAND_INS: dict[Any, Callable[..., Any]] = {
    torch.linalg.eigh: _eigenpairs,
    torch.linalg.cholesky_ex: _cholesky,
    torch.linalg.solve_triangular: _solution,
}
