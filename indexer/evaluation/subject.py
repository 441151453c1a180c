"""What is being evaluated: an index, the Task that it was built from, and who retrains.

Letters: J rows of the index, Q queries.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidTask
from byline.examples import content_digest
from byline.loading import LoadedTask
from byline.store.canonical import canonical_digest
from byline.store.index import AttributionIndex
from byline.task import Task, TrainSet
from indexer.config import BuildConfig
from indexer.evaluation.designs import Design
from indexer.evaluation.jobs import Setting, Workforce
from indexer.evaluation.options import EvaluationOptions
from indexer.evaluation.queries import Split, split
from indexer.evaluation.truth import Truth, from_file, retrained
from indexer.progress import Observer
from indexer.scores import score_items


@dataclass(frozen=True)
class Subject:
    """One evaluation: what is asked, and everything that it is asked of."""

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
        """Which of these are reported, and which are for tuning."""
        return split(len(self.evaluation_set), self.options)

    @property
    def target(self) -> str:
        """What the scores attribute."""
        return self.options.target or self.config.recipe.query_target

    @property
    def output(self) -> str:
        """f: minus the loss, or a target."""
        return self.options.output or self.target

    def check(self) -> None:
        """Hold that the Task has what retraining needs, before anything is built.

        Raises:
            InvalidTask: It has no `evaluation_set`, no `train` where no truth is given, or no such target.
            InvalidInput: The evaluation set is too small.
        """
        if self.options.truth is None and self.task.train is None:
            raise InvalidTask(
                "expected Task.train, (rows, seed) -> state dict of the model trained on these rows, got none: add it "
                "to the Task (docs/tasks.md), or pass outputs of models retrained elsewhere with --truth FILE.npz"
            )
        for name in (self.target, self.output):
            self.task.objective(name)
        split(len(self.evaluation_set), self.options)

    def workforce(self, data: str) -> Workforce:
        """Who trains models.

        Args:
            data: Digest of the training set.
        """
        build = self.config.build
        setting = Setting(
            task=self.config.task,
            content=canonical_digest(
                {"task": self.loaded.digest, "data": data, "evaluation": self._evaluation_digest()}
            ),
            folder=self.options.out / "models",
            batch_rows=build.batch_rows,
            threads=build.threads,
            device=build.device,
        )
        return Workforce(setting, self.task, build.workers, self.observer)

    def _evaluation_digest(self) -> str:
        digest, items = hashlib.sha256(), self.task.evaluation_set or ()
        for position in range(len(items)):
            digest.update(content_digest(items[position]))
        return digest.hexdigest()

    def truth(self, index: AttributionIndex, design: Callable[[], Design]) -> Truth:
        """Retrain, or read outputs that were retrained elsewhere.

        Args:
            index: Its rows are what subsets are made of.
            design: Draws the subsets.
        """
        if self.options.truth is not None:
            items = len(self.evaluation_set)
            return from_file(self.options.truth, len(self.task.train_set), items, index.groups)
        workforce = self.workforce(index.fingerprint.data)
        return retrained(design(), self.options.seeds, self.output, index.groups, workforce)

    def scores(self, index: AttributionIndex, items: NDArray[np.int64], target: str) -> NDArray[np.float32]:
        """Score every row of an index for items of the evaluation set, float32 [Q, J]."""
        chosen = [self.evaluation_set[int(position)] for position in items]
        return score_items(index, self.task, chosen, target, batch=self.options.batch, observer=self.observer)

    def folder(self) -> Path:
        """Make the folder that everything is written to."""
        self.options.out.mkdir(parents=True, exist_ok=True)
        return self.options.out
