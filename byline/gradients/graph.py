"""Autograd's own graph: which operations of a forward pass read a parameter, and when.

Autograd numbers the operations of a thread in the order in which they run. A parameter that is read at a moment which no
recorded call covers is used in a way that nothing else here would see.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """The moments from the start of a call to its end."""

    begin: int
    end: int

    def holds(self, moment: int) -> bool:
        """Tell whether an operation ran during the call."""
        return self.begin <= moment < self.end

    def inside(self, other: "Span") -> bool:
        """Tell whether the call is a part of another, longer one."""
        return self != other and other.begin <= self.begin and self.end <= other.end


def now() -> int:
    """Number of the next operation that this thread records."""
    return int(torch._C._autograd._get_sequence_nr())


def reads(values: Tensor) -> dict[int, set[int]]:
    """List the moments at which leaves of the graph behind a tensor were read.

    Args:
        values: The end of a forward pass.

    Returns:
        `id(leaf)` -> numbers of the operations that have it as an input.
    """
    found: dict[int, set[int]] = {}
    seen: set[Any] = set()
    waiting = [values.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for parent, _ in node.next_functions:
            if parent is None:
                continue
            leaf = getattr(parent, "variable", None)
            if leaf is None:
                waiting.append(parent)
            else:
                found.setdefault(id(leaf), set()).add(node._sequence_nr())
    return found
