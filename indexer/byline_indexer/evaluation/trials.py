"""Build, score and time the settings that `byline tune` tries. Scores are kept, indexes are not.

Letters: J rows of an index, S subsets, E scored items of the evaluation set, Q tuning queries.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from byline.attribution.opening import load_featurizer
from byline.errors import InvalidInput, InvalidRecipe, NonFiniteGradient, UnsupportedModel
from byline.groups import GroupPartition
from byline.index.canonical_json import canonical_digest
from byline.index.durable import atomic_replacement
from byline.index.index import AttributionIndex
from byline.metrics import Interval, agreement, predicted_outputs, two_way_interval
from byline.models.training_points import EVALUATION, read_items
from byline.recipes import refuse_unsummable
from byline.search.searcher import Searcher
from byline.task import Item
from byline_indexer.build.build import build
from byline_indexer.build.probe import make_plan
from byline_indexer.build.sources import Sources
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.costs import Cost, disk_bytes
from byline_indexer.evaluation.subject import IndexRows, Subject
from byline_indexer.evaluation.training import UNREADABLE
from byline_indexer.evaluation.truth import Truth

TIMED = 8
"""Tuning queries that are timed, one by one, at most."""
FOUND = 10
"""Training points that a timed search finds."""


@dataclass(frozen=True)
class Trial:
    """A setting, its agreement with retrained models, and its cost."""

    candidate: Candidate
    cost: Cost
    predicted_SE: NDArray[np.float64]
    """Summed scores of every subset, for every scored item."""
    lds_Q: NDArray[np.float64]
    """LDS of each tuning query. NaN where the truth does not vary."""

    @property
    def lds(self) -> float:
        """Mean LDS over the tuning queries whose truth varies."""
        return float(np.nanmean(self.lds_Q))


@dataclass(frozen=True)
class Kept:
    """Scores of one setting, and what they cost."""

    scores_EJ: NDArray[np.float32]
    group_R: NDArray[np.int64]
    """Group of each training point. Empty where rows are points."""
    cost: Cost

    @property
    def groups(self) -> GroupPartition | None:
        """The groups. None where rows are points."""
        return GroupPartition.of(self.group_R) if len(self.group_R) else None

    def write(self, path: Path) -> None:
        """Keep it in a file, which appears when it is complete."""
        path.parent.mkdir(exist_ok=True)
        numbers = [self.cost.row_bytes, self.cost.total_bytes, self.cost.milliseconds]
        with atomic_replacement(path) as temporary, temporary.open("wb") as file:
            np.savez(file, scores=self.scores_EJ, groups=self.group_R, cost=np.array(numbers))

    @classmethod
    def read(cls, path: Path, items: int) -> Self | None:
        """Read it. None where there is no such file, or a damaged one."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                scores_EJ, group_R, cost = arrays["scores"], arrays["groups"], arrays["cost"]
        except UNREADABLE:
            return None
        if scores_EJ.ndim != 2 or len(scores_EJ) != items or group_R.ndim != 1 or cost.shape != (3,):
            return None
        return cls(scores_EJ, group_R, Cost(float(cost[0]), int(cost[1]), float(cost[2])))


@dataclass(frozen=True)
class Trials:
    """Measures settings, each once."""

    subject: Subject
    """The evaluation. Its build file names the Task, and its options the output that all settings are compared by."""
    items: NDArray[np.int64]
    """Items of the evaluation set that are scored: the tuning queries first."""
    tuning: int
    """Tuning queries, Q. The truth of the other items is not looked at here."""
    _truths: dict[str, Truth] = field(default_factory=dict)

    def measure(self, candidate: Candidate) -> Trial | None:
        """Measure a setting without a blend.

        Returns:
            The measurement. None if the Task or its model does not go with the recipe; a message says why.

        Raises:
            InvalidInput: No tuning query's truth varies.
        """
        try:
            kept, data = self._kept(candidate)
        except (InvalidInput, InvalidRecipe, UnsupportedModel, NonFiniteGradient) as error:
            self.subject.observer.message(f"left out: {candidate.text}: {error}")
            return None
        return self.trial(candidate, kept.scores_EJ, kept.cost, self.truth(kept, data))

    def trial(self, candidate: Candidate, scores_EJ: NDArray[np.floating], cost: Cost, truth: Truth) -> Trial:
        """Compare scores with the truth of the tuning queries."""
        predicted_SE = predicted_outputs(scores_EJ, truth.subsets_SJ)
        lds_Q = agreement(predicted_SE[:, : self.tuning], self.outputs(truth))
        if np.isnan(lds_Q).all():
            raise InvalidInput(
                "every tuning query has the same output under every retrained model: there is nothing to tune by; "
                "check that Task.train uses its rows"
            )
        return Trial(candidate, cost, predicted_SE, lds_Q)

    def outputs(self, truth: Truth) -> NDArray[np.float64]:
        """Average the tuning queries' outputs over the seeds, [S, Q]."""
        mean_SQ: NDArray[np.float64] = truth.of(self.items[: self.tuning]).mean(axis=0)
        return mean_SQ

    def interval(self, trial: Trial, truth: Truth) -> Interval | None:
        """Bootstrap a setting's LDS over tuning queries and subsets."""
        return two_way_interval(trial.predicted_SE[:, : self.tuning], self.outputs(truth))

    def scores(self, candidate: Candidate) -> tuple[Kept, Truth]:
        """Return the kept scores of a setting, and the truth of its rows."""
        kept, data = self._kept(candidate)
        return kept, self.truth(kept, data)

    def truth(self, kept: Kept, data: str) -> Truth:
        """Retrain, once for all settings whose rows are the same groups."""
        key = canonical_digest([kept.scores_EJ.shape[1], kept.group_R.tolist()])
        if key not in self._truths:
            rows = IndexRows(kept.scores_EJ.shape[1], kept.groups, data)
            self._truths[key] = self.subject.random_truth(rows)
        return self._truths[key]

    @cached_property
    def _evaluation_digest(self) -> str:
        return self.subject.evaluation_digest()

    def _kept(self, candidate: Candidate) -> tuple[Kept, str]:
        """Score the items, or read the scores that an earlier run kept; with the digest of the training set."""
        own = self._subject_of(candidate)
        config, observer = own.config, own.observer
        plan = make_plan(config, own.task)
        fingerprint = Sources(config, own.loaded, observer).identity(plan).fingerprint
        key = canonical_digest(
            {
                "index": fingerprint.hex,
                "groups": None if config.groups is None else config.groups.model_dump(mode="json"),
                "evaluation": self._evaluation_digest,
                "items": self.items.tolist(),
                "target": own.target,
                "refine": own.options.refine,
            }
        )
        path = own.folder() / "scores" / f"{key[:32]}.npz"
        kept = Kept.read(path, len(self.items))
        if kept is None:
            begun = fingerprint.version, f".build-{fingerprint.version}"
            if not any((config.index.path / name).exists() for name in begun):
                self.delete_index()
            kept = self._built(own)
            kept.write(path)
        return kept, fingerprint.data

    def delete_index(self) -> None:
        """Delete the last index that was built. It is kept until another one is, for further queries of the same rows."""
        shutil.rmtree(self._index, ignore_errors=True)

    @property
    def _index(self) -> Path:
        return self.subject.folder() / "candidate"

    def _subject_of(self, candidate: Candidate) -> Subject:
        base = self.subject
        if base.config.groups is not None:
            refuse_unsummable(candidate.recipe, base.config.groups)
        index = base.config.index.model_copy(update={"path": self._index})
        changes = {"recipe": candidate.recipe, "index": index, "blend": None}
        asked = {
            "target": candidate.recipe.query_target,
            "output": base.options.output or "loss",
            "refine": candidate.refine,
        }
        return replace(
            base,
            config=base.config.model_copy(update=changes),
            options=base.options.model_copy(update=asked),
        )

    def _built(self, own: Subject) -> Kept:
        """Build the index, unless it is there, and score and time the items."""
        with AttributionIndex.open(build(own.config, own.observer).path) as index:
            row_bytes, total_bytes = disk_bytes(index.path, index.rows)
            scores_EJ = own.scores(index, self.items, own.target)
            group_R = np.zeros(0, np.int64) if index.groups is None else index.groups.group_of_rows
            return Kept(scores_EJ, group_R, Cost(row_bytes, total_bytes, self._milliseconds(own, index)))

    def _milliseconds(self, own: Subject, index: AttributionIndex) -> float:
        """Time single queries, from an item to the strongest training points; the median, after one that warms up."""
        featurizer, searcher = load_featurizer(index, own.task), Searcher(index)
        items = read_items(own.evaluation_set, self.items[: min(TIMED, self.tuning)], EVALUATION)

        def ask(item: Item) -> None:
            searcher.search(featurizer.query([item], own.target, refine=own.options.refine).numpy(), FOUND)

        return median_milliseconds(ask, items)


def median_milliseconds(ask: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Time a function on each item, after a first call that warms up."""
    ask(items[0])
    seconds = []
    for item in items:
        start = time.perf_counter()
        ask(item)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000
