"""Make the rows of an index of groups: sums of features, and an example that describes each group.

Letters: R rows, J groups, K numbers of a feature.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from byline.api.example import Example
from byline.groups import GroupOptions, GroupPartition
from byline.models.training_points import describe_row
from byline.task import Task
from byline_indexer.build.partition import column
from byline_indexer.build.survey import REPORT_EVERY
from byline_indexer.units.outputs import block_weights
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.workspace import Workspace

Blocks = Iterator[NDArray[np.float32]]
Progress = Callable[[int, int], None]
_NAMED = 3
"""Members whose ids a group's preview names."""


def summed_blocks(
    plan: BuildPlan, workspace: Workspace, features: Blocks, name: str = "group-sums"
) -> Blocks:
    """Add the features of every group's points up, each times its row weight.

    The sums are kept in a file, so that memory holds a block of them.

    Args:
        plan: Names the groups.
        workspace: Has the row weights, and room for the sums.
        features: float32 [B, K], block after block of the grid.
        name: Of the file that keeps the sums. Sums that are read side by side need one each.

    Yields:
        float32 [B, K] of groups.
    """
    assert plan.groups is not None
    group_R = plan.groups.group_of_rows
    path = workspace.root / f"{name}.npy"
    sums_JK: NDArray[np.float64] | None = None
    for block, part_BK in enumerate(features):
        if sums_JK is None:
            sums_JK = open_memmap(path, "w+", np.float64, (len(plan.groups), part_BK.shape[1]))
        rows = plan.block_rows(block)
        weights_B = block_weights(plan, workspace, block).numpy()
        weighted_BK = part_BK * weights_B[:, None]
        for group, weighted_K in zip(group_R[rows.start : rows.stop].tolist(), weighted_BK, strict=True):
            sums_JK[group] += weighted_K  # several times as fast as np.add.at, in the same order
    assert sums_JK is not None
    step = max(1, (1 << 21) // sums_JK.shape[1])
    for start in range(0, len(sums_JK), step):
        yield np.asarray(sums_JK[start : start + step], dtype=np.float32)
    path.unlink()


def products(left: Blocks, right: Blocks) -> NDArray[np.float64]:
    """Compute the inner products of rows at the same place, float64 [J]."""
    found = [
        np.einsum("jk,jk->j", a_BK.astype(np.float64), b_BK.astype(np.float64))
        for a_BK, b_BK in zip(left, right, strict=True)
    ]
    return np.concatenate(found)


def squared_lengths(features: Blocks) -> NDArray[np.float64]:
    """Compute the squared length of each row, float64 [J]."""
    return np.concatenate([np.square(part_BK.astype(np.float64)).sum(axis=1) for part_BK in features])


@dataclass
class _Summary:
    points: int = 0
    ids: list[str] = field(default_factory=list)
    owners: Counter[str | None] = field(default_factory=Counter)
    licenses: set[str | None] = field(default_factory=set)
    labels: Counter[str | None] = field(default_factory=Counter)
    value: str | None = None
    image: bytes | None = None


def group_examples(
    task: Task, options: GroupOptions, members: GroupPartition, progress: Progress | None = None
) -> list[Example]:
    """Describe every group as one example: the metadata that all its points share, and their number.

    Args:
        task: Describes the points.
        options: Named the groups.
        members: The groups.
        progress: Called with (points described, points).

    Returns:
        One example a group. Memory grows with the number of groups.
    """
    summaries = [_Summary() for _ in range(len(members))]
    for row, group in enumerate(members.group_of_rows.tolist()):
        example, summary = describe_row(task, row), summaries[group]
        summary.points += 1
        summary.owners[example.owner] += 1
        summary.licenses.add(example.license)
        summary.labels[example.label] += 1
        summary.image = example.image
        if len(summary.ids) < _NAMED:
            summary.ids.append(example.id)
        if progress and ((row + 1) % REPORT_EVERY == 0 or row + 1 == len(members.rows_R)):
            progress(row + 1, len(members.rows_R))
        summary.value = column(example, options.by) if options.by not in {"random", "kmeans"} else None
    return [_described(number, summary, options) for number, summary in enumerate(summaries)]


def _described(number: int, summary: _Summary, options: GroupOptions) -> Example:
    name = f"{options.by}:{summary.value}" if summary.value else f"{options.by}-{number}"
    more = ", …" if summary.points > len(summary.ids) else ""
    label, most = summary.labels.most_common(1)[0]
    attributes: dict[str, str | int] = {"points": summary.points, "owners": len(summary.owners)}
    if label is not None and most < summary.points:
        attributes["commonest_label"] = f"{label} ({most})"
    return Example(
        id=name if len(name) <= 180 else f"{name[:160]}-{number}",
        owner=_shared(set(summary.owners)),
        license=_shared(summary.licenses),
        label=_shared(set(summary.labels)),
        preview=f"{summary.points} points: {', '.join(summary.ids)}{more}",
        image=summary.image if summary.points == 1 else None,
        attributes=attributes,
    )


def _shared(values: set[str | None]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None
