"""Rank the points of a file or a list for a target set: each row is a point that the model was not trained on.

Letters: N candidates.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.attribution.candidate_scores import Candidate, CandidateScores, TargetSet
from byline.attribution.opening import require_points
from byline.attribution.selection import Selection, SelectionOptions
from byline.errors import InvalidInput, InvalidQuery
from byline.index.durable import atomic_replacement
from byline.models.training_points import EVALUATION
from byline.paths import local_path
from byline.task import QueryInterface
from byline.tasks.columns import Columns
from byline_indexer.candidate_rows import CandidateSource
from byline_indexer.json_lines import json_lines
from byline_indexer.progress import Observer, Silent

FORMATS = (".csv", ".json")
"""Endings of the files that a ranking is written to."""


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """A choice of target points: one of the fields, or none for the Task's evaluation set."""

    file: Path | None = None
    """Payloads of queries, one a line."""
    owner: str | None = None
    """Training points of this owner."""
    label: str | None = None
    """Training points with this label."""

    def __post_init__(self) -> None:
        if sum(chosen is not None for chosen in (self.file, self.owner, self.label)) > 1:
            raise InvalidInput(
                "expected one of --target-file, --target-owner and --target-label, got several: choose one"
            )


@dataclass(frozen=True, kw_only=True)
class RankedCandidate:
    """A row of the ranking."""

    rank: int
    """From 1, best first."""
    line: int
    """Line of the file, or row of a table, from 1. In files of documents, blank lines do not count."""
    id: str | None
    """The row's own id, where it has one."""
    score: float
    standard_error: float | None
    """None without an ensemble."""
    predicted_change: float | None
    """Predicted change of the target by this candidate alone. None where scores have no unit."""
    predicted_total: float | None
    """Sum of the predicted changes down to this rank. None with the reduction `max` too."""
    target_point: int | None
    """Number of the target point with the largest score, from 1, for the reduction `max`."""


@dataclass(frozen=True, kw_only=True)
class CandidateRanking:
    """Candidates of a file, best first."""

    index: str
    """The index's name."""
    recipe: str
    target: str
    """The attributed target."""
    target_points: int
    reduction: str
    unit: str | None
    """Unit of predicted changes. None where the recipe's scores have no unit."""
    note: str
    """Meaning of the predicted changes."""
    candidates: list[RankedCandidate]


def rank_candidates(
    index: Path,
    data: Any,
    choice: TargetChoice,
    options: SelectionOptions,
    observer: Observer | None = None,
    columns: Columns | None = None,
) -> CandidateRanking:
    """Score every row of some data. All rows are checked before the first gradient.

    Args:
        index: An index directory or one version of it.
        data: A file, a list or a `datasets.Dataset`, as `byline build --data` takes it. Each row is a document where the
            Task trains on documents, and otherwise a payload with its label or completion, beside which fields of a
            training point's metadata may stand.
        choice: The target set.
        options: The target, how target points make one score, and the batch.
        observer: Receives progress.
        columns: Names of the columns of documents. None takes the usual ones.

    Returns:
        The ranking.

    Raises:
        InvalidInput: The data have another form. The message names the row.
        InvalidQuery: A row does not fit the Task, or the recipe scores no candidates.
    """
    observer = observer or Silent()
    opened = Attributor.open(index)
    selection = opened.selection(options)
    source = CandidateSource(data, _interface(selection), columns)
    lines = [(number, name) for number, _, name in source.candidates()]
    targets = _targets(opened, selection, choice)

    def read() -> Iterator[Candidate]:
        for done, (_, candidate, _) in enumerate(source.candidates()):
            observer.progress("score candidates", done, len(lines))
            yield candidate

    scores = selection.scores(read(), targets)
    observer.progress("score candidates", len(lines), len(lines))
    if len(scores.scores_N) != len(lines):
        raise InvalidInput(
            f"expected {source.name} to stay as it is while it is read, got another number of lines"
        )
    return CandidateRanking(
        index=opened.name,
        recipe=opened.index.recipe.name,
        target=selection.target,
        target_points=targets.points,
        reduction=targets.reduction,
        unit=scores.effect.unit,
        note=scores.effect.note,
        candidates=_ranked(scores, lines),
    )


def write_ranking(ranking: CandidateRanking, out: Path) -> None:
    """Write a ranking as CSV, or as JSON with what it is of.

    Args:
        ranking: The candidates.
        out: The file, which appears when it is complete.

    Raises:
        InvalidInput: There is no folder for the file, or its name ends otherwise.
    """
    require_out(out)
    with atomic_replacement(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        if out.suffix == ".json":
            json.dump(ranking_json(ranking), file, indent=2, ensure_ascii=False)
            return
        names = [field.name for field in fields(RankedCandidate)]
        rows = csv.DictWriter(file, names)
        rows.writeheader()
        rows.writerows(vars(row) for row in ranking.candidates)


def require_out(out: Path) -> None:
    """Require a file that a ranking can be written to.

    Raises:
        InvalidInput: There is no folder for the file, or its name ends otherwise.
    """
    local_path(out, "--out")
    if out.suffix not in FORMATS:
        raise InvalidInput(f"expected --out to end with {' or '.join(FORMATS)}, got {out.name}")
    if not out.parent.is_dir():
        raise InvalidInput(f"expected a folder at {out.parent} to write {out.name} into, found none: make it")


def ranking_json(ranking: CandidateRanking, limit: int | None = None) -> dict[str, Any]:
    """Write a ranking as a JSON document.

    Args:
        ranking: The candidates.
        limit: Number of candidates to write. None writes all.
    """
    return {**vars(ranking), "candidates": [vars(row) for row in ranking.candidates[:limit]]}


def _interface(selection: Selection) -> QueryInterface:
    if selection.task.query is None:
        raise InvalidQuery(
            "expected a Task with a QueryInterface, which reads the lines of --data, got one without: score items in "
            "Python, with Attributor.score_candidates"
        )
    return selection.task.query


def _targets(opened: Attributor, selection: Selection, choice: TargetChoice) -> TargetSet:
    """Make the features of the target set."""
    if choice.file is not None:
        payloads = [payload for _, payload in json_lines(choice.file, "--target-file", "target point")]
        return selection.of_payloads(payloads)
    if choice.owner is None and choice.label is None:
        found = selection.task.evaluation_set
        if found is None:
            raise InvalidInput(
                "expected --target-file, --target-owner or --target-label, or a Task with an evaluation_set, got none of "
                "them: name the points whose loss is to fall"
            )
        return selection.of_items(found, EVALUATION)
    return selection.of_rows(_rows(opened, selection, choice))


def _rows(opened: Attributor, selection: Selection, choice: TargetChoice) -> list[int]:
    """Rows of the training set that are chosen as target points."""
    if opened.index.groups is not None:
        raise InvalidInput(
            "expected an index of single points for --target-owner and --target-label, got one of groups: pass --target-file"
        )
    require_points(selection.task, opened.index)
    chosen = Filter(
        owner=None if choice.owner is None else [choice.owner],
        label=None if choice.label is None else [choice.label],
    )
    rows = [int(row) for row in opened.index.examples.rows_matching(chosen)]
    if not rows:
        raise InvalidInput(
            "expected training points of that owner or label, found none: see `byline inspect INDEX`"
        )
    return rows


def _ranked(scores: CandidateScores, lines: list[tuple[int, str | None]]) -> list[RankedCandidate]:
    order = scores.order
    changes = scores.predicted_changes
    totals = None if changes is None or scores.closest_N is not None else np.cumsum(changes[order])
    return [
        RankedCandidate(
            rank=rank + 1,
            line=lines[place][0],
            id=lines[place][1],
            score=float(scores.scores_N[place]),
            standard_error=None if scores.errors_N is None else float(scores.errors_N[place]),
            predicted_change=None if changes is None else float(changes[place]),
            predicted_total=None if totals is None else float(totals[rank]),
            target_point=None if scores.closest_N is None else int(scores.closest_N[place]) + 1,
        )
        for rank, place in enumerate(order.tolist())
    ]
