"""Read and merge the fitted state of a member, and add up the sums of batches.

Shapes: N examples, K numbers of a feature.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from byline.curvature.base import SCRATCH
from byline.progress import count_items
from byline.types import State
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


def read_state(plan: BuildPlan, workspace: Workspace, member: str, before: str | None = None) -> State:
    """Merge the outputs of a member's statistics.

    Args:
        plan: The build.
        workspace: Where the reduced statistics are.
        member: The member's name.
        before: Stop at this statistic. None takes all.

    Returns:
        The fitted state, on the CPU.
    """
    state = read_states(workspace, member, fitted_before(plan, before))
    return without_scratch(state) if before is None else state


def fitted_before(plan: BuildPlan, before: str | None) -> tuple[str, ...]:
    """List the statistics that come before one. All of them for None."""
    names = tuple(statistic.name for statistic in plan.statistics)
    return names if before is None else names[: names.index(before)]


def read_states(workspace: Workspace, member: str, statistics: Sequence[str]) -> State:
    """Merge the outputs of some of a member's statistics, on the CPU."""
    state: State = {}
    for name in statistics:
        state |= workspace.read(Unit(Stage.REDUCE, member, 0, name))
    return state


def without_scratch(state: State) -> State:
    """Drop the parts that only later statistics read."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(SCRATCH)}


def add_state(sums: State, part: Mapping[str, Tensor]) -> None:
    """Add a batch's sums to the block's, in place. Each is looked up once, and made then where it is lazy."""
    for name in count_items(None, part):
        tensor = part[name]
        sums[name] = sums[name].add_(tensor) if name in sums else tensor.clone()


GATHERED = 256
"""Vectors that are measured together."""


def gather_projections(parts: Iterator[Tensor]) -> Iterator[Tensor]:
    """Put projections together: second moments of many vectors cost little more than those of a few.

    Args:
        parts: phi_NK of batches.

    Yields:
        The same rows in the same order, in fewer tensors.
    """
    kept: list[Tensor] = []
    for part in parts:
        kept.append(part)
        if sum(map(len, kept)) >= GATHERED:
            yield torch.cat(kept)
            kept = []
    if kept:
        yield torch.cat(kept)


def join_states(parts: list[State]) -> State:
    """Concatenate the batches of a block."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
