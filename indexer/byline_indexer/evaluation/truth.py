"""Get the outputs of models retrained on subsets: from trainings, or from a file.

Letters: R training points, J rows of the index, S subsets, T seeds, E items of the evaluation set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from byline.errors import BuildFailed, InvalidInput
from byline.groups import GroupPartition
from byline.index.durable import atomic_replacement
from byline_indexer.evaluation.designs import Design, Subsets
from byline_indexer.evaluation.jobs import Setting, Workforce
from byline_indexer.evaluation.training import UNREADABLE, Retraining


@dataclass(frozen=True)
class Truth:
    """Subsets, and the outputs of models that were trained on them."""

    subsets_SJ: Subsets
    """Bool [S, J]: rows of the index that each model was trained on."""
    outputs_TSE: NDArray[np.float64]
    """f of every item under the model of every seed and subset."""
    source: Literal["retrained", "file"]
    paired: bool | None = None
    """Whether all subsets were trained with the same seeds. None if unknown, as in a file."""

    def of(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Select f of some items, [T, S, Q].

        Raises:
            InvalidInput: Not all of them are finite.
        """
        chosen_TSQ = self.outputs_TSE[:, :, items]
        if not np.isfinite(chosen_TSQ).all():
            raise InvalidInput("expected finite 'outputs' in the --truth file, got NaN or infinity")
        return chosen_TSQ


def retrained(
    design: Design, seeds: int, output: str, members: GroupPartition | None, workforce: Workforce
) -> Truth:
    """Train a model for every subset and seed, or find it among those that were trained before.

    Args:
        design: Subsets of the index's rows.
        seeds: T.
        output: f: `loss` for minus the loss, or a target.
        members: Which points the rows are groups of. None where they are points.
        workforce: Trains.

    Returns:
        The truth.

    Raises:
        BuildFailed: A finished job's file went away, or is of other targets.
    """
    subsets_SR = points_of(design.subsets_SJ, members)
    jobs = [
        [Retraining.of(chosen_R, design.training_seed(s, t)) for s, chosen_R in enumerate(subsets_SR)]
        for t in range(seeds)
    ]
    workforce.do([job for row in jobs for job in row])
    outputs_TSE = np.array([[_kept(job, output, workforce.setting) for job in row] for row in jobs])
    return Truth(design.subsets_SJ, outputs_TSE, "retrained", design.paired)


def _kept(job: Retraining, output: str, setting: Setting) -> NDArray[np.float64]:
    """Read one output of a finished job, float64 [E]."""
    found = job.read(setting) or {}
    if output not in found:
        raise BuildFailed(
            f"{job.path(setting)} has no '{output}' of its model: delete it, and run the same command again"
        )
    return found[output]


def points_of(subsets_SJ: Subsets, members: GroupPartition | None) -> Subsets:
    """Turn subsets of index rows into subsets of training points, bool [S, R]."""
    return subsets_SJ if members is None else subsets_SJ[:, members.group_of_rows]


def rows_of(subsets_SR: Subsets, members: GroupPartition | None) -> Subsets:
    """Turn subsets of training points into subsets of index rows, bool [S, J].

    Raises:
        InvalidInput: A subset keeps some points of a group and leaves others out.
    """
    if members is None:
        return subsets_SR
    kept_SJ = np.add.reduceat(
        subsets_SR[:, members.rows_R].astype(np.int64), members.ends_J - members.sizes, axis=1
    )
    if not ((kept_SJ == 0) | (kept_SJ == members.sizes)).all():
        raise InvalidInput(
            "expected subsets in the --truth file that keep or leave out whole groups of this index, got some that "
            "divide a group: retrain on unions of groups, or evaluate an index without groups"
        )
    return kept_SJ > 0


def from_file(path: Path, points: int, items: int, members: GroupPartition | None) -> Truth:
    """Read outputs of models that were retrained elsewhere.

    Args:
        path: An `.npz` file with `subsets`, bool [S, R], and `outputs`, numbers [T, S, E] (or [S, E] of one seed).
        points: R.
        items: E.
        members: Which points the index's rows are groups of. None where they are points.

    Returns:
        The truth.

    Raises:
        InvalidInput: The file is missing, damaged, or of other shapes.
    """
    form = f"an .npz file with 'subsets', bool [S, {points}], and 'outputs', numbers [seeds, S, {items}]"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            subsets_SR = np.asarray(arrays["subsets"])
            outputs_TSE = np.asarray(arrays["outputs"], dtype=np.float64)
    except UNREADABLE as error:
        raise InvalidInput(f"expected {path} to be {form}: {type(error).__name__}") from error
    outputs_TSE = outputs_TSE[None] if outputs_TSE.ndim == 2 else outputs_TSE
    subsets = len(subsets_SR) if subsets_SR.ndim else 0
    if (
        subsets_SR.dtype != np.bool_
        or subsets_SR.shape != (subsets, points)
        or outputs_TSE.shape != (len(outputs_TSE), subsets, items)
        or subsets < 2
        or not len(outputs_TSE)
    ):
        raise InvalidInput(
            f"expected {path} to be {form}, got {subsets_SR.dtype} {list(subsets_SR.shape)} and "
            f"{list(outputs_TSE.shape)}"
        )
    return Truth(rows_of(subsets_SR, members), outputs_TSE, "file")


def write_truth(path: Path, truth: Truth, members: GroupPartition | None) -> None:
    """Keep a truth in the form that `from_file` reads."""
    with atomic_replacement(path) as temporary, temporary.open("wb") as file:
        np.savez(file, subsets=points_of(truth.subsets_SJ, members), outputs=truth.outputs_TSE)
