"""Choose target, damping and size by the LDS on the tuning queries. The reported queries take no part.

Letters: J rows of an index, Q tuning queries.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from byline.errors import InvalidInput
from byline.groups import GroupPartition
from byline.index.canonical_json import canonical_digest
from byline.index.durable import atomic_replacement, replace_file
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.metrics import Interval, agreement, predicted_outputs, two_way_interval
from byline_indexer.build.build import build
from byline_indexer.build.probe import make_plan
from byline_indexer.build.sources import Sources
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.candidates import Candidate, Grid, candidates
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.queries import REPORT, tuned_queries
from byline_indexer.evaluation.subject import IndexRows, Subject
from byline_indexer.evaluation.training import UNREADABLE
from byline_indexer.progress import Observer, Silent


@dataclass(frozen=True)
class Tried:
    """A candidate and its LDS."""

    candidate: Candidate
    lds: float
    """Mean LDS over the tuning queries."""
    interval: Interval | None


@dataclass(frozen=True)
class Tuned:
    """All candidates with their LDS."""

    tried: Sequence[Tried]
    """Candidates in the order in which they were tried."""
    queries: int
    """Tuning queries whose truth varies."""
    report_file: Path

    @property
    def best(self) -> Tried:
        """Candidate with the largest LDS; of equal ones the first, which is the smaller."""
        return max(self.tried, key=lambda each: each.lds)


def tune(
    config: BuildConfig, options: EvaluationOptions, grid: Grid, observer: Observer | None = None
) -> Tuned:
    """Build an index of every candidate, score the tuning queries, and compare with retrained models.

    An index is deleted once its scores are kept. A run that was stopped goes on after the last of them.

    Args:
        config: The build file. Its index is not touched.
        options: How models are retrained. `output` is what all candidates are compared by.
        grid: What is tried.
        observer: Receives progress and messages.

    Returns:
        Every candidate's LDS.

    Raises:
        InvalidInput: There are no tuning queries, or the grid does not fit the recipe.
        InvalidTask: The Task lacks what retraining needs.
    """
    observer = observer or Silent()
    subject = Subject(config, options, load_task(config.task), observer)
    subject.check()
    items = subject.split.tuning
    if not len(items):
        raise InvalidInput("expected at least one query to tune on, got --tuning 0")
    chosen = candidates(config.recipe, subject.task, grid)
    tried = []
    queries = 0
    for number, candidate in enumerate(chosen, start=1):
        observer.message(f"candidate {number} of {len(chosen)}: {describe_candidate(candidate)}")
        found_Q, interval = _lds(subject, candidate, items)
        queries = int((~np.isnan(found_Q)).sum())
        if not queries:
            raise InvalidInput(
                "every tuning query has the same output under every retrained model: there is nothing to tune by; "
                "check that Task.train uses its rows"
            )
        tried.append(Tried(candidate, float(np.nanmean(found_Q)), interval))
    tuned = Tuned(tried, queries, subject.folder() / REPORT)
    _write_report(tuned, subject)
    return tuned


def describe_candidate(candidate: Candidate) -> str:
    """Describe a candidate in a few words."""
    parts = {"target": candidate.signal, "damping": candidate.damping, "size": candidate.size}
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _lds(
    subject: Subject, candidate: Candidate, items: NDArray[np.int64]
) -> tuple[NDArray[np.float64], Interval | None]:
    """Compute the LDS of each tuning query, [Q], and the interval of their mean."""
    index = subject.config.index.model_copy(update={"path": subject.folder() / "candidate"})
    config = subject.config.model_copy(update={"recipe": candidate.recipe, "index": index})
    own = replace(
        subject,
        config=config,
        options=subject.options.model_copy(
            update={"target": candidate.signal, "output": subject.options.output or "loss"}
        ),
    )
    scores_QJ, rows = _scores(own, items)
    truth = own.random_truth(rows)
    predicted_SQ = predicted_outputs(scores_QJ, truth.subsets_SJ)
    outputs_SQ = truth.of(items).mean(axis=0)
    return agreement(predicted_SQ, outputs_SQ), two_way_interval(predicted_SQ, outputs_SQ)


def _scores(subject: Subject, items: NDArray[np.int64]) -> tuple[NDArray[np.float32], IndexRows]:
    """Score the tuning queries in a candidate's index, or read the scores that an earlier run kept."""
    config, observer = subject.config, subject.observer
    plan = make_plan(config, subject.task)
    fingerprint = Sources(config, subject.loaded, observer).identity(plan).fingerprint
    key = canonical_digest(
        {
            "index": fingerprint.hex,
            "groups": None if config.groups is None else config.groups.model_dump(mode="json"),
            "evaluation": subject.evaluation_digest(),
            "items": items.tolist(),
            "target": subject.target,
        }
    )
    kept = subject.folder() / "scores" / f"{key[:32]}.npz"
    found = _read_scores(kept, len(items)) or _built_scores(subject, items, kept)
    scores_QJ, group_R = found
    members = GroupPartition.of(group_R) if len(group_R) else None
    return scores_QJ, IndexRows(scores_QJ.shape[1], members, fingerprint.data)


Scores = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scores [Q, J], and the group of each training point. No groups where the rows are points."""


def _built_scores(subject: Subject, items: NDArray[np.int64], kept: Path) -> Scores:
    """Build the index, score, keep the scores, and delete the index."""
    path = subject.config.index.path
    with AttributionIndex.open(build(subject.config, subject.observer).path) as index:
        scores_QJ = subject.scores(index, items, subject.target)
        group_R = np.zeros(0, np.int64) if index.groups is None else index.groups.group_of_rows
    kept.parent.mkdir(exist_ok=True)
    with atomic_replacement(kept) as temporary, temporary.open("wb") as file:
        np.savez(file, scores=scores_QJ, groups=group_R)
    shutil.rmtree(path)
    return scores_QJ, group_R


def _read_scores(path: Path, queries: int) -> Scores | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = arrays["scores"], arrays["groups"]
    except UNREADABLE:
        return None
    return found if found[0].ndim == 2 and len(found[0]) == queries and found[1].ndim == 1 else None


def _write_report(tuned: Tuned, subject: Subject) -> None:
    evaluation = subject.evaluation_digest()
    tuning = {int(item) for item in subject.split.tuning}
    document = {
        "output": subject.options.output or "loss",
        "tuning_queries": sorted(tuning),
        "evaluation": evaluation,
        "tuned_on": sorted(tuning | tuned_queries(subject.folder(), evaluation)),
        "candidates": [
            {
                "target": each.candidate.signal,
                "damping": each.candidate.damping,
                "size": each.candidate.size,
                "lds": each.lds,
                "interval": None if each.interval is None else [each.interval.low, each.interval.high],
                "recipe": each.candidate.recipe.model_dump(mode="json"),
            }
            for each in tuned.tried
        ],
        "best": tuned.best.candidate.toml(),
    }
    replace_file(tuned.report_file, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
