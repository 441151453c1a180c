"""Read autograd's graph: the operations of a forward pass that read a parameter, and those that move rows by content.

Autograd numbers the operations of a thread in the order in which they run. A parameter that is read at a moment which no
recorded call covers is used in a way that nothing else here would see.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
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
    """Read the number of the next operation that this thread records."""
    return int(torch._C._autograd._get_sequence_nr())


@dataclass(frozen=True)
class ForwardGraph:
    """Autograd's graph of a forward pass."""

    reads: dict[int, set[int]]
    """`id(leaf)` -> numbers of the operations that have it as an input."""
    nodes: frozenset[Any]
    """All operations."""
    operations: tuple[str, ...]
    """Their names."""
    movements: tuple[tuple[int, Any], ...]
    """The operations that may bring one example's rows to another's place, with what they move: the same for batches
    that move rows in the same way. (number of the operation, what it moves) each."""

    def leaves_elsewhere(self, span: Span, ends: set[Any]) -> bool:
        """Tell whether the values depend on an operation of a call by another way than the call's outputs.

        Args:
            span: The call's.
            ends: The operations that its outputs come from.
        """
        start = bisect_left(self._links, span.begin, key=itemgetter(0))
        stop = bisect_left(self._links, span.end, key=itemgetter(0))
        return any(
            not span.holds(reader) and parent not in ends for _, reader, parent in self._links[start:stop]
        )

    @cached_property
    def _links(self) -> list[tuple[int, int, Any]]:
        """(number of an operation, number of one that reads it, the first) each, in order."""
        links = [
            (parent._sequence_nr(), node._sequence_nr(), parent)
            for node in self.nodes
            for parent, _ in node.next_functions
            if parent is not None
        ]
        return sorted(links, key=itemgetter(0))


def forward_graph(values: Tensor) -> ForwardGraph:
    """Walk the graph behind a tensor.

    Args:
        values: The end of a forward pass.
    """
    reads: dict[int, set[int]] = {}
    nodes: set[Any] = set()
    names: list[str] = []
    movements: list[tuple[int, Any]] = []
    waiting = [values.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in nodes:
            continue
        nodes.add(node)
        name = node.name()
        names.append(name)
        if name.startswith(_MOVING):
            movements.extend((node._sequence_nr(), moved) for moved in _moved(name, node))
        for parent, _ in node.next_functions:
            if parent is None:
                continue
            leaf = getattr(parent, "variable", None)
            if leaf is None:
                waiting.append(parent)
            else:
                reads.setdefault(id(leaf), set()).add(node._sequence_nr())
    return ForwardGraph(reads, frozenset(nodes), tuple(names), tuple(movements))


_MOVING = (
    "Cat",
    "Embedding",
    "Flip",
    "Gather",
    "Index",
    "Masked",
    "Mm",
    "Bmm",
    "Narrow",
    "Put",
    "Roll",
    "Scatter",
    "Select",
    "Slice",
    "Sort",
    "Split",
    "Stack",
    "Take",
    "Topk",
    "Unbind",
)
"""Prefixes of the names of operations that move rows."""
_PRODUCTS = ("Mm", "Bmm")
_BATCH_AXES = {0, 1}
"""Axes that may run over the examples."""
_FACTS = ("_saved_start", "_saved_end", "_saved_step", "_saved_split_size", "_saved_shifts")
_CONTENTS = ("_saved_index", "_saved_indices", "_saved_mask")


def _moved(name: str, node: Any) -> Iterator[Any]:
    """List the indices by which an operation moves rows along the first axis.

    Yields:
        One hashable value at the most.
    """
    if name.startswith(_PRODUCTS):
        yield from ((name, _content(matrix)) for matrix in _between_rows(node))
        return
    axes = len(node._input_metadata[0].shape)
    saved = getattr(node, "_saved_dims", getattr(node, "_saved_dim", ()))
    dims = [_signed(d) % max(1, axes) for d in (saved if isinstance(saved, tuple) else (saved,))]
    if dims and not _BATCH_AXES & set(dims):
        return
    contents = [c for attribute in _CONTENTS for c in _tensors(getattr(node, attribute, None))]
    if name.startswith("Embedding") and _is_table(node):
        return
    if name.startswith("Index") and not dims and _stays(contents):
        return
    facts = tuple(str(getattr(node, fact, None)) for fact in _FACTS)
    yield name, tuple(dims), facts, tuple(_content(tensor) for tensor in contents)


def _between_rows(node: Any) -> list[Tensor]:
    """Square matrices without a gradient that a product has for all rows at once: one may permute examples."""
    saved = [getattr(node, name, None) for name in ("_saved_self", "_saved_mat2")]
    return [
        matrix
        for matrix in saved
        if isinstance(matrix, Tensor)
        and not matrix.requires_grad
        and matrix.shape[-1] == matrix.shape[-2]
        and (matrix.dim() == 2 or matrix.shape[0] == 1)
    ]


def _is_table(node: Any) -> bool:
    """Tell whether an embedding looks up a parameter, and not rows that the model has computed."""
    parent = node.next_functions[0][0]
    return parent is None or hasattr(parent, "variable")


def _signed(dim: int) -> int:
    """Autograd saves negative axes as unsigned numbers."""
    return dim - (1 << 64) if dim >= 1 << 63 else dim


def _tensors(saved: Any) -> list[Any]:
    if saved is None:
        return []
    return list(saved) if isinstance(saved, tuple | list) else [saved]


def _stays(indices: list[Any]) -> bool:
    """Tell whether an index leaves the axes that may run over examples alone: `x[:, :, i]`, or `x[arange(N), i]`."""
    first = indices[0] if indices else None
    if first is None:
        return len(indices) < 2 or indices[1] is None
    places = torch.arange(len(first) if first.dim() else 0, device=first.device)
    return first.dim() > 0 and torch.equal(
        first, places.reshape(-1, *[1] * (first.dim() - 1)).expand_as(first)
    )


def _content(tensor: Tensor | int | None) -> Any:
    if not isinstance(tensor, Tensor):
        return tensor
    return tuple(tensor.shape), hash(tensor.detach().cpu().contiguous().numpy().tobytes())
