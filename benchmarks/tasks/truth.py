"""Truths in the form that `byline evaluate --truth` reads: the outputs of models that were really retrained.

Letters: R training points, S subsets, T seeds, E items of the evaluation set.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from byline.index.durable import atomic_replacement
from byline.loading.task_file import load_task
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.truth import Truth, from_file, write_truth

Train = Callable[[range, int], np.ndarray]
"""(numbers of some subsets, seed) -> outputs of models trained on them [subsets, E]."""


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """A set of models to retrain."""

    subsets_SR: np.ndarray
    """Bool: the training points of each model."""
    seeds: int
    """Models that are trained on each subset."""
    together: int
    """Subsets that are trained in one call; each call leaves a file, and a stopped run continues after it."""
    train: Train


@dataclass(frozen=True)
class Subject:
    """A Task, whose whole evaluation set is reported, and its truth."""

    task: str
    """Reference of the Task, as a build file names it."""
    truth: Path
    """A file that `byline evaluate --truth` reads."""
    build: dict[str, Any] = field(default_factory=dict)
    """Options of the build."""

    def config(self, recipe: dict[str, Any], folder: Path | str) -> BuildConfig:
        """Write the build file of a recipe.

        Args:
            recipe: Name and changes.
            folder: The index.
        """
        return BuildConfig.model_validate(
            {"task": self.task, "recipe": recipe, "index": {"path": folder}, "build": self.build}
        )

    def read(self) -> Truth:
        """Read the truth, of single points."""
        task = load_task(self.task).task
        return from_file(self.truth, len(task.train_set), len(task.evaluation_set or ()), None)


KINDS = ("halves", "removals", "owners")
"""Truths of a fine-tuning case: random halves, random subsets that lack 5 % of the points, and one owner left out."""


def subsets_of(kind: str, owners: Sequence[str], halves: int, removals: int) -> np.ndarray:
    """Draw the subsets of a kind.

    Args:
        kind: One of `KINDS`.
        owners: Owner of each training point.
        halves: Number of subsets of the first kind.
        removals: Number of subsets of the second kind.

    Returns:
        Bool [S, R]: the points that each model is trained on.
    """
    rows = len(owners)
    if kind == "owners":
        names = np.array(owners)
        return np.stack([names != owner for owner in sorted(set(owners))])
    share, count = (0.5, halves) if kind == "halves" else (0.05, removals)
    rng = np.random.default_rng(1)
    left_out = [rng.permutation(rows)[: max(1, round(share * rows))] for _ in range(count)]
    chosen = np.ones((count, rows), dtype=bool)
    for row, out in zip(chosen, left_out, strict=True):
        row[out] = False
    return chosen


def truth_path(folder: Path, kind: str, base: int, *, reported: bool = True) -> Path:
    """Name the file of a fine-tuning case's truth, of the reported queries or of the tuning queries."""
    return folder / f"{kind}-{base}{'' if reported else '-tuning'}.npz"


def truth_files(folder: Path, kind: str, base: int, reported: int) -> dict[Path, slice]:
    """List the files of a kind of truth, with the queries that each is about: first the reported ones."""
    return {
        truth_path(folder, kind, base): slice(0, reported),
        truth_path(folder, kind, base, reported=False): slice(reported, None),
    }


def random_halves(count: int, rows: int) -> np.ndarray:
    """Draw random halves of a training set: bool [count, rows]."""
    rng = np.random.default_rng(1)
    chosen = np.zeros((count, rows), dtype=bool)
    for row in chosen:
        row[rng.permutation(rows)[: rows // 2]] = True
    return chosen


def keep_truth(retraining: Retraining, files: Mapping[Path, slice]) -> None:
    """Retrain, and write one truth file for each part of the evaluation set; finished files stay.

    Args:
        retraining: The models.
        files: Where each truth goes, and the items of the evaluation set that it is about.
    """
    if all(path.exists() for path in files):
        return
    first = next(iter(files))
    parts = first.parent / f"{first.stem}-parts"
    parts.mkdir(parents=True, exist_ok=True)
    count = len(retraining.subsets_SR)
    calls = [
        (seed, range(start, min(start + retraining.together, count)))
        for seed in range(retraining.seeds)
        for start in range(0, count, retraining.together)
    ]
    outputs = [
        _part(parts / f"{seed}-{subsets.start}.npy", retraining, seed, subsets)
        for seed, subsets in track(calls, description="retraining")
    ]
    outputs_TSE = np.concatenate(outputs).reshape(retraining.seeds, count, -1).astype(np.float64)
    for path, items in files.items():
        write_truth(path, Truth(retraining.subsets_SR, outputs_TSE[:, :, items], "retrained"), None)
    shutil.rmtree(parts)


def _part(path: Path, retraining: Retraining, seed: int, subsets: range) -> np.ndarray:
    if not path.exists():
        outputs = retraining.train(subsets, seed)
        with atomic_replacement(path) as temporary, temporary.open("wb") as file:
            np.save(file, outputs)
    found: np.ndarray = np.load(path, allow_pickle=False)
    return found
