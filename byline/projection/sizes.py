"""Sizes of a projection that no one set: chosen by the blocks alone, so that every machine chooses the same."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Sizes = TypeVar("Sizes")

MATRICES = 1 << 29
"""Bytes, at most, of one float64 matrix of each layer's numbers: sums of these are in memory while a curvature is fitted."""


def matrix_bytes(widths: Iterable[int]) -> int:
    """Count the bytes of float64 matrices of these widths."""
    return sum(8 * width * width for width in widths)


def largest_fitting(
    sizes: Sizes, widths: Callable[[Sizes], Iterable[int]], smaller: Callable[[Sizes], Sizes]
) -> Sizes:
    """Lower sizes until the matrices of all layers fit.

    Args:
        sizes: The largest sizes.
        widths: Gives every layer's numbers at some sizes.
        smaller: Gives the next smaller sizes. The same again where there are none.

    Returns:
        The first sizes whose matrices take at most `MATRICES` bytes, or the smallest.
    """
    while matrix_bytes(widths(sizes)) > MATRICES:
        following = smaller(sizes)
        if following == sizes:
            break
        sizes = following
    return sizes
