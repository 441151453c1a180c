"""Second moments of one side of a block's gradients: packed sums, computed once for layers that share their input.

Shapes: D numbers of a side, N examples, T positions.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from byline.gradients.outer_products.factors import DenseFactor, Factor

_STRIP = 256
"""Rows of a packed strip."""
_RECENT = 2
"""Inputs whose moments are remembered. Between the keys' and the queries' (by name) may be that of the output layer."""
_NARROW = 32
"""Width up to which a moment is computed each time: the inner sides of adapters, of which there are many."""


def pack(moment_DD: Tensor) -> Tensor:
    """Take the upper triangle of a symmetric matrix, strip by strip: [D (D + 1) / 2], float64.

    A strip is the triangle on its diagonal, and the rectangle to its right. Rectangles are copied, and not looked up
    number by number.
    """
    packed = moment_DD.new_empty(_size(len(moment_DD)), dtype=torch.float64)
    for rows, after, triangle, rectangle in _strips(len(moment_DD)):
        packed[triangle] = (
            moment_DD[rows, rows].flatten()[_upper(rows.stop - rows.start, packed.device)].double()
        )
        packed[rectangle].view(rows.stop - rows.start, -1).copy_(moment_DD[rows, after])
    return packed


def unpack(packed: Tensor, width: int) -> Tensor:
    """Write out a symmetric matrix [D, D] of this width. A diagonal [D] stays one."""
    if len(packed) == width and width > 1:
        return packed
    upper_DD = packed.new_zeros(width, width)
    for rows, after, triangle, rectangle in _strips(width):
        height = rows.stop - rows.start
        square = packed.new_zeros(height * height)
        square[_upper(height, packed.device)] = packed[triangle]
        upper_DD[rows, rows] = square.view(height, height)
        upper_DD[rows, after] = packed[rectangle].view(height, -1)
    return upper_DD + upper_DD.triu(1).T


class RecentMoments:
    """The second moments of the last inputs. Layers with one input (queries, keys and values) share theirs."""

    def __init__(self) -> None:
        self._recent: deque[tuple[Factor, Tensor, Tensor]] = deque(maxlen=_RECENT)

    def packed(self, factor: Factor, active_NT: Tensor) -> Tensor:
        """Compute an input's second moment over active positions, or return it if it is one of the last: packed, float64.

        Args:
            factor: The right side of the gradients of a block.
            active_NT: Positions that count.
        """
        for known, active, packed in self._recent:
            if _same(known, factor) and torch.equal(active, active_NT):
                return packed
        packed = pack(factor.second_moment(active_NT, diagonal=False))
        if factor.width > _NARROW:
            self._recent.append((factor, active_NT, packed))
        return packed


def _same(one: Factor, other: Factor) -> bool:
    """Tell whether two factors are the same numbers in memory. A kept factor holds its memory: no other takes its place."""
    if not (isinstance(one, DenseFactor) and isinstance(other, DenseFactor)):
        return False
    return one.append_one == other.append_one and _place(one.values_NTD) == _place(other.values_NTD)


def _place(values: Tensor) -> tuple[object, ...]:
    return values.data_ptr(), values.shape, values.stride(), values.dtype


def _size(width: int) -> int:
    return width * (width + 1) // 2


def _strips(width: int) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Yield each strip's rows, the columns after its triangle, and the places of triangle and rectangle when packed."""
    place = 0
    for start in range(0, width, _STRIP):
        stop = min(start + _STRIP, width)
        middle = place + _size(stop - start)
        end = middle + (stop - start) * (width - stop)
        yield slice(start, stop), slice(stop, width), slice(place, middle), slice(middle, end)
        place = end


@lru_cache(maxsize=4)
def _upper(width: int, device: torch.device) -> Tensor:
    """List the places of the upper triangle in a flattened matrix."""
    rows, columns = torch.triu_indices(width, width, device=device)
    places: Tensor = rows * width + columns
    return places
