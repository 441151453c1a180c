"""Measure mislabel detection: training points with wrong labels should have the largest self-influence.

Letter: R training points.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from byline.api.quality_card import Measurement, MeasurementProtocol
from byline.digests import content_digest
from byline.errors import InvalidInput, InvalidTask
from byline.index.canonical_json import canonical_digest
from byline.index.durable import atomic_replacement
from byline.index.index import AttributionIndex
from byline.index.tensors import write_tensors
from byline.loading.failures import task_code_failures
from byline.loading.task_file import LoadedTask
from byline.metrics import auc, auc_interval
from byline.models.training_points import read_items
from byline.recipes import refuse_no_self_influence
from byline.task import Checkpoint, Task
from byline_indexer.build.build import build
from byline_indexer.evaluation.jobs import Setting
from byline_indexer.evaluation.measurement import Measured, libraries, today
from byline_indexer.evaluation.subject import Subject
from byline_indexer.evaluation.training import REVISION, train


@dataclass(frozen=True)
class WrongTraining:
    """A model of the whole training set with some labels made wrong. Its file holds the weights."""

    wrong: tuple[int, ...]
    """Training points whose labels are wrong, ascending."""
    labels_seed: int
    """Seed that `Task.mislabeled` is called with."""
    seed: int
    """Seed that `Task.train` is called with."""

    def path(self, setting: Setting) -> Path:
        """Path of the file."""
        key = {
            "content": setting.content,
            "wrong": self.wrong,
            "labels": self.labels_seed,
            "seed": self.seed,
            "revision": REVISION,
        }
        return setting.folder / f"{canonical_digest(key)[:32]}.safetensors"

    def finished(self, setting: Setting) -> bool:
        """Tell whether the file is there and can be read."""
        try:
            return bool(load_file(self.path(setting)))
        except (OSError, SafetensorError):
            return False

    def perform(self, setting: Setting, task: Task) -> None:
        """Train the model and keep its weights."""
        wrong = mislabeled(task, self.wrong, self.labels_seed)
        weights = train(wrong, np.arange(len(wrong.train_set)), self.seed)
        with atomic_replacement(self.path(setting)) as temporary:
            write_tensors(temporary, {n: w.detach().cpu().contiguous().clone() for n, w in weights.items()})


def mislabeled(task: Task, rows: Sequence[int], seed: int) -> Task:
    """Call `Task.mislabeled`.

    Raises:
        InvalidTask: There is none, or it returned something else.
    """
    if task.mislabeled is None:
        raise InvalidTask(
            "expected Task.mislabeled, (rows, seed) -> a Task with wrong labels at these rows, got none: add it to the "
            "Task (docs/tasks.md)"
        )
    with task_code_failures("Task.mislabeled"):
        found = task.mislabeled(list(rows), seed)
    if not isinstance(found, Task) or len(found.train_set) != len(task.train_set):
        raise InvalidTask(
            f"expected Task.mislabeled to return a Task with a training set of {len(task.train_set)} items, got "
            f"{type(found).__name__ if not isinstance(found, Task) else len(found.train_set)}"
        )
    pairs = zip(read_items(found.train_set, rows), read_items(task.train_set, rows), strict=True)
    same = sum(content_digest(new) == content_digest(old) for new, old in pairs)
    if same:
        raise InvalidTask(
            f"expected Task.mislabeled to return a Task with other items at {len(rows)} rows, got {same} that are as they "
            f"were: give them wrong labels, in train_set and in what train learns from"
        )
    return found


def check(subject: Subject) -> None:
    """Require a Task and a recipe that mislabel detection can measure.

    Raises:
        InvalidTask: The Task lacks `mislabeled` or `train`.
        InvalidInput: Self-influence says nothing with this recipe, or is not of single points.
    """
    task, recipe = subject.task, subject.config.recipe
    mislabeled(task, [0], subject.options.seed)
    if task.train is None:
        raise InvalidTask(
            "expected Task.train, (rows, seed) -> state dict: --metric mislabel trains on wrong labels; add it to the "
            "Task (docs/tasks.md)"
        )
    draw_wrong_points(len(task.train_set), subject.options.wrong, subject.options.seed)
    refuse_no_self_influence(recipe)
    if recipe.recorded:
        raise InvalidInput(
            f"expected a recipe without a recorded run for --metric mislabel, got '{recipe.name}': training on wrong labels "
            f"records none"
        )
    if subject.config.groups is not None:
        raise InvalidInput(
            "expected an index of points for --metric mislabel, got one of groups: leave [groups] out"
        )
    if recipe.members.adapters:
        raise InvalidInput(
            "expected a recipe without members.adapters for --metric mislabel: adapters are not trained on wrong labels"
        )


def mislabel(subject: Subject, index: AttributionIndex) -> Measured:
    """Train on wrong labels, index that model in the same way, and rank its training points by self-influence."""
    options = subject.options
    wrong_R = draw_wrong_points(index.rows, options.wrong, options.seed)
    values_R = _self_influence(subject, index, np.flatnonzero(wrong_R))
    if np.ptp(values_R) == 0:
        raise InvalidInput("every training point has the same self-influence: it ranks nothing")
    interval = auc_interval(values_R, wrong_R)
    first = np.argsort(-values_R, kind="stable")[: int(wrong_R.sum())]
    count = int(wrong_R.sum())
    measurement = Measurement(
        metric="mislabel",
        title="mislabel AUC",
        statistic="area under the ROC curve of self-influence: how often a point with a wrong label is above one "
        "with its own",
        value=auc(values_R, wrong_R),
        interval=(interval.low, interval.high),
        sample=f"{count} wrong labels of {len(wrong_R)}",
        further={"precision_at_wrong": float(wrong_R[first].mean())},
        protocol=MeasurementProtocol(
            target=subject.config.recipe.train_signal, seed=options.seed, wrong_labels=count
        ),
        measured=today(),
        libraries=libraries(),
    )
    order = np.argsort(-values_R, kind="stable")
    details = [
        {"row": int(row), "self_influence": float(values_R[row]), "wrong": bool(wrong_R[row])}
        for row in order
    ]
    return Measured(measurement, tuple(details))


def draw_wrong_points(rows: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Draw the training points that get wrong labels, bool [R]: some, and not all.

    Raises:
        InvalidInput: So few points have no such share.
    """
    count = round(share * rows)
    if not 0 < count < rows:
        raise InvalidInput(f"expected --wrong to take some of {rows} training points, got {share:g}")
    wrong_R = np.zeros(rows, dtype=bool)
    wrong_R[np.random.default_rng([seed, rows]).permutation(rows)[:count]] = True
    return wrong_R


def _self_influence(
    subject: Subject, index: AttributionIndex, wrong: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the self-influence of every point, [R], in an index of the models trained on wrong labels."""
    workforce = subject.workforce(index.fingerprint.data)
    rows = tuple(int(row) for row in wrong)
    used = sorted({member.checkpoint for member in index.members})
    jobs = {number: WrongTraining(rows, subject.options.seed, number) for number in used}
    workforce.do(list(jobs.values()), "train on wrong labels")
    task = mislabeled(subject.task, rows, subject.options.seed)
    checkpoints = [
        replace(
            old,
            weights=jobs[number].path(workforce.setting) if number in jobs else old.weights,
            adapters=(),
            optimizer_state=None,
            recording=None,
        )
        for number, old in enumerate(_as_many(task, subject.task))
    ]
    loaded = replace(
        subject.loaded,
        task=replace(task, checkpoints=checkpoints),
        digest=hashlib.sha256(f"{subject.loaded.digest}:{rows}:{subject.options.seed}".encode()).hexdigest(),
    )
    return _indexed(subject, loaded)


def _as_many(task: Task, original: Task) -> Sequence[Checkpoint]:
    """The wrong Task's checkpoints where it has as many as the original, which say how they were trained."""
    return task.checkpoints if len(task.checkpoints) == len(original.checkpoints) else original.checkpoints


def _indexed(subject: Subject, loaded: LoadedTask) -> NDArray[np.float64]:
    config = subject.config
    section = config.index.model_copy(update={"path": subject.folder() / "mislabeled"})
    alone = config.build.model_copy(update={"workers": 1})  # only this process has the Task of wrong labels
    here = config.model_copy(update={"index": section, "build": alone})
    with AttributionIndex.open(build(here, subject.observer, loaded=loaded).path) as wrong:
        return np.array(wrong.self_influence, dtype=np.float64)
