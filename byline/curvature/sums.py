"""Sums of a statistic that are larger than a gradient: made one block at a time, and in waves of blocks.

A batch's sums are added to those before it, name by name. Where a block's are made when they are looked up, one set of sums
is in memory and not two. Where the set of all blocks is too large for that, blocks are measured in waves. Each wave has a
pass of its own over the sample.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.types import State

Sums = Mapping[str, Tensor]
"""Sums over a batch or a sample by name, float64."""
WAVE = 5 << 28
"""Bytes of sums, at most, that are in memory together."""


class LazySums(Mapping[str, Tensor]):
    """Sums that are made when they are looked up, each group of names at once. What was looked up is not kept.

    Args:
        groups: Names, and what makes the sums of these names.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[str], Callable[[], State]]]) -> None:
        self._makers = {name: make for names, make in groups for name in names}
        self._made: State = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made = self._makers[name]()
        return self._made.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def waves(blocks: Sequence[Block], size: Callable[[Block], int]) -> list[tuple[Block, ...]]:
    """Cut blocks into waves whose sums are in memory together.

    Args:
        blocks: Attributed parameter blocks.
        size: Counts the bytes of one block's sums.

    Returns:
        The blocks in their order. A block of more than `WAVE` bytes is a wave of its own.
    """
    cut: list[list[Block]] = []
    room = 0
    for block in blocks:
        if not cut or size(block) > room:
            cut.append([])
            room = WAVE
        cut[-1].append(block)
        room -= size(block)
    return [tuple(wave) for wave in cut]


def wave_name(family: str, number: int, count: int) -> str:
    """Name the statistic of a wave: the family's name alone where there is one wave."""
    return family if count == 1 else f"{family}.{number:05d}"
