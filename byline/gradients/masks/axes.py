"""Axes of tensors, and the parts of them that hold features, through the operations of a forward pass.

A size says nothing about an axis: T may equal D. What made it does. So every operation that a model performs is watched,
and each axis of each tensor is known as a product of parts, each a feature or not: merging and splitting axes (`view`)
merges and splits parts. A layer with weights decides anew which axis holds features (the last after a matrix product
or LayerNorm, the second after a convolution or BatchNorm). Other operations hand on what is known of their inputs.
The rules are in `axis_rules`. `axis_follower` watches.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


class Source:
    """The origin of a part of an axis. Shared where tensors are added entry by entry."""

    def __init__(self, parents: Iterable["Source"] = ()) -> None:
        self._parents, self._joined = list(parents), self

    @property
    def root(self) -> "Source":
        """The common source of all that are joined with this one."""
        while self._joined is not self._joined._joined:
            self._joined = self._joined._joined
        return self._joined

    def join(self, other: "Source") -> None:
        """Join two sources that are the same stretch of numbers."""
        one, two = self.root, other.root
        if one is not two:
            one._joined = two
            two._parents += one._parents

    def origins(self) -> set["Source"]:
        """Itself and all that it was split off or concatenated from, each as its root."""
        found: set[Source] = set()
        waiting = [self.root]
        while waiting:
            source = waiting.pop()
            if source not in found:
                found.add(source)
                waiting += [parent.root for parent in source._parents]
        return found


@dataclass(frozen=True)
class Part:
    """One factor of an axis."""

    size: int
    feature: bool = False
    source: Source = field(default_factory=Source)


Axis = tuple[Part, ...]
"""Parts in the order of their strides, the largest first; none where the size is 1."""
Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Known:
    """Known axes and origins of a tensor."""

    axes: Axes
    weight: bool = False
    """Parameters and buffers, and what is computed from these alone."""
    probabilities: bool = False
    """A softmax made it."""

    @property
    def features(self) -> frozenset[int]:
        """Axes that hold features."""
        return frozenset(place for place, axis in enumerate(self.axes) if any(p.feature for p in axis))


@dataclass(frozen=True)
class Operation:
    """One operation that ran."""

    arguments: Mapping[str, Any]
    """Arguments by the names of the operation's schema."""
    outputs: Sequence[Tensor]
    known: Callable[[Tensor], Known]
    consume: Callable[[Axis], None]
    """Called with the axis that a layer with weights takes as features."""

    def tensors(self, *names: str) -> list[Tensor]:
        """List the tensors among its arguments, or among some of them."""
        chosen = [self.arguments.get(name) for name in names] if names else list(self.arguments.values())
        return [leaf for leaf in tree_leaves(chosen) if isinstance(leaf, Tensor)]

    def axes(self, name: str) -> Axes:
        """Return the axes of one argument."""
        return self.known(self.arguments[name]).axes


Rule = Callable[[Operation], Sequence[Axes]]
"""Operation -> axes of its outputs, in order. Outputs beyond those have nothing known of them."""


def unknown_axes(shape: Sequence[int]) -> Axes:
    """Return axes of which nothing is known."""
    return tuple((Part(size),) if size != 1 else () for size in shape)


def join_axes(axes: Sequence[tuple[Axis, bool]]) -> Axis:
    """Bring together what is known of one axis from several tensors that are combined entry by entry.

    Args:
        axes: The axis in each tensor, and whether that is a weight. Data take precedence over weights.
    """
    data = [axis for axis, weight in axes if not weight] or [axis for axis, _ in axes]
    chosen = next((axis for axis in data if any(part.feature for part in axis)), data[0])
    features = [part.feature for part in chosen]
    for axis, weight in axes:
        if [part.size for part in axis] == [part.size for part in chosen]:
            for place, (one, other) in enumerate(zip(chosen, axis, strict=True)):
                one.source.join(other.source)
                features[place] |= other.feature and not weight
    return tuple(replace(part, feature=f) for part, f in zip(chosen, features, strict=True))


def regroup_axes(axes: Axes, shape: Sequence[int]) -> Axes:
    """Cut the same numbers into other axes, as `view` does."""
    waiting = [part for axis in axes for part in axis if part.size != 1][::-1]
    found: list[Axis] = []
    for size in shape:
        taken = _taken(waiting, size)
        if taken is None:
            return _same_ends(axes, shape)
        found.append(taken)
    return tuple(found)


def _taken(waiting: list[Part], size: int) -> Axis | None:
    """Take parts of one axis off the end of a list. None where they do not come to its size."""
    taken: list[Part] = []
    needed = size
    while needed > 1 and waiting:
        part = waiting.pop()
        if part.size > 0 and needed % part.size == 0:
            taken.append(part)
            needed //= part.size
        elif part.size % needed == 0:
            waiting.append(replace(part, size=part.size // needed, source=Source([part.source])))
            taken.append(replace(part, size=needed, source=Source([part.source])))
            needed = 1
        else:
            return None
    return tuple(taken) if needed == 1 else None


def _same_ends(axes: Axes, shape: Sequence[int]) -> Axes:
    """Keep what is known of the last axes, as far as their sizes are unchanged."""
    found = list(unknown_axes(shape))
    for place in range(1, min(len(axes), len(shape)) + 1):
        if torch.Size([p.size for p in axes[-place]]).numel() != shape[-place]:
            break
        found[-place] = axes[-place]
    return tuple(found)


def mark_features(axes: Axes, place: int) -> Axes:
    """Say which axis holds features, and that no other does; parts that are known to be features stay those alone."""
    own = axes[place]
    if not any(part.feature for part in own):
        own = tuple(replace(part, feature=True) for part in own)
    cleared = [tuple(replace(part, feature=False) for part in axis) for axis in axes]
    cleared[place % len(axes)] = own
    return tuple(cleared)
