"""Hold one evaluation: its options, its Task, and its trainings.

Letters: J rows of the index, Q queries.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.digests import content_digest
from byline.errors import InvalidTask
from byline.groups import GroupPartition
from byline.index.canonical_json import canonical_digest
from byline.index.index import AttributionIndex
from byline.loading.task_file import LoadedTask
from byline.models.training_points import EVALUATION, read_items
from byline.task import Task, TrainSet
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.designs import Design, paired_by_default, random_subsets
from byline_indexer.evaluation.jobs import Setting, Workforce
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.queries import Split, split
from byline_indexer.evaluation.truth import Truth, from_file, retrained
from byline_indexer.progress import Observer
from byline_indexer.scores import score_items


@dataclass(frozen=True)
class IndexRows:
    """Rows of an index, which subsets are made of."""

    count: int
    """Number of rows, J."""
    groups: GroupPartition | None
    """Training points of each row. None if rows are points."""
    data: str
    """Digest of the training set."""

    @classmethod
    def of(cls, index: AttributionIndex) -> Self:
        """Return the rows of an opened index."""
        return cls(index.rows, index.groups, index.fingerprint.data)


@dataclass(frozen=True)
class Subject:
    """One evaluation: build file, options and Task."""

    config: BuildConfig
    options: EvaluationOptions
    loaded: LoadedTask
    observer: Observer

    @property
    def task(self) -> Task:
        """The Task."""
        return self.loaded.task

    @property
    def evaluation_set(self) -> TrainSet:
        """Items that the model was not trained on.

        Raises:
            InvalidTask: The Task has none.
        """
        items = self.task.evaluation_set
        if items is None or not len(items):
            raise InvalidTask(
                "expected Task.evaluation_set, items of the training set's kind that the model was not trained on, got "
                "none: add it to the Task (docs/tasks.md)"
            )
        return items

    @property
    def split(self) -> Split:
        """Split these items into reported and tuning queries."""
        return split(len(self.evaluation_set), self.options)

    @property
    def target(self) -> str:
        """Name of the target that the scores attribute."""
        return self.options.target or self.config.recipe.query_target

    @property
    def output(self) -> str:
        """Name of f: minus the loss, or a target."""
        return self.options.output or self.target

    def check(self) -> None:
        """Require the parts of the Task that retraining needs, before anything is built.

        Raises:
            InvalidTask: It has no `evaluation_set`, no `train` where no truth is given, or no such target.
            InvalidInput: The evaluation set is too small, or the truth given is none.
        """
        if self.options.truth is None and self.task.train is None:
            raise InvalidTask(
                "expected Task.train, (rows, seed) -> state dict of the model trained on these rows, got none: add it "
                "to the Task (docs/tasks.md), or pass outputs of models retrained elsewhere with --truth FILE.npz"
            )
        for name in (self.target, self.output):
            self.task.objective(name)
        items = len(self.evaluation_set)
        split(items, self.options)
        if (
            self.options.truth is not None
        ):  # before hours of building; a division of groups shows only after it
            from_file(self.options.truth, len(self.task.train_set), items, None)

    def workforce(self, data: str) -> Workforce:
        """Make the processes that train models.

        Args:
            data: Digest of the training set.
        """
        build = self.config.build
        setting = Setting(
            task=self.config.task,
            source=self.loaded.digest,
            content=canonical_digest(
                {"task": self.loaded.digest, "data": data, "evaluation": self.evaluation_digest()}
            ),
            folder=self.options.out / "models",
            batch_rows=build.batch_rows,
            threads=build.threads,
            device=build.device,
        )
        return Workforce(setting, self.task, build.workers, self.observer)

    def evaluation_digest(self) -> str:
        """Digest of every item of the evaluation set; of nothing where there is none."""
        digest, items = hashlib.sha256(), self.task.evaluation_set or ()
        for position in range(len(items)):
            digest.update(content_digest(read_items(items, [position], EVALUATION)[0]))
        return digest.hexdigest()

    def truth(self, rows: IndexRows, design: Callable[[], Design]) -> Truth:
        """Retrain, or read outputs that were retrained elsewhere.

        Args:
            rows: What subsets are made of.
            design: Draws the subsets.

        Returns:
            Subsets and outputs.
        """
        if self.options.truth is not None:
            items = len(self.evaluation_set)
            return from_file(self.options.truth, len(self.task.train_set), items, rows.groups)
        return retrained(design(), self.options.seeds, self.output, rows.groups, self.workforce(rows.data))

    def random_truth(self, rows: IndexRows) -> Truth:
        """Retrain on random subsets as the options describe them."""
        return self.truth(rows, lambda: self.random_design(rows.count))

    def random_design(self, rows: int) -> Design:
        """Draw random subsets of an index's rows as the options describe them.

        Raises:
            InvalidInput: So few rows have no proper subset of that share.
        """
        options = self.options
        paired = paired_by_default(options.alpha) if options.paired is None else options.paired
        return random_subsets(rows, options.subsets, options.alpha, options.seed, paired=paired)

    def scores(self, index: AttributionIndex, items: NDArray[np.int64], target: str) -> NDArray[np.float32]:
        """Score every row of an index for items of the evaluation set, float32 [Q, J]."""
        chosen = read_items(self.evaluation_set, items, EVALUATION)
        return score_items(
            index,
            self.task,
            chosen,
            target,
            batch=self.options.batch,
            refine=self.options.refine,
            observer=self.observer,
        )

    def folder(self) -> Path:
        """Make the folder that everything is written to."""
        self.options.out.mkdir(parents=True, exist_ok=True)
        return self.options.out
