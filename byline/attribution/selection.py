"""Data selection: rank points outside the training set for a target set (Xia et al. 2024 choose fine-tuning data so).

Letters: Q target points, N candidates.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from byline.api.terms import REFINE_STEPS
from byline.api.validation import validated
from byline.attribution.candidate_scores import (
    Candidate,
    CandidateScorer,
    CandidateScores,
    Reduction,
    TargetSet,
    join_targets,
    refuse_candidates,
)
from byline.attribution.effects import effect_of
from byline.attribution.opening import require_points
from byline.attribution.queries import CheckedRequest, QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.score_matrix import checked_requests, require_batch, without_errors
from byline.attribution.stage_timer import StageTimer
from byline.attribution.task_code import parse_query, task_code
from byline.errors import InvalidQuery
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.training_points import TRAINING, read_items
from byline.task import Item, QueryInterface, Task, TrainSet


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Options of data selection."""

    target: str | None = None
    """Attributed target. None takes the recipe's."""
    reduction: Reduction = "mean"
    """A candidate's score: the mean over the target points, or the largest."""
    refine: int = REFINE_STEPS
    """Steps that solve each target point, as in `AttributionOptions`."""
    batch: int = 32
    """Items that are differentiated together."""

    def __post_init__(self) -> None:
        require_batch(self.batch)
        if self.reduction not in {"mean", "max"}:
            raise InvalidQuery("expected reduction to be 'mean' or 'max', got something else")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """An opened index that ranks candidates."""

    index: AttributionIndex
    members: Sequence[Member]
    task: Task
    preparer: QueryPreparer
    featurizer: Featurizer
    options: SelectionOptions

    def __post_init__(self) -> None:
        if self.options.refine:
            require_points(self.task, self.index)
        refuse_candidates(self.index.recipe)

    @property
    def target(self) -> str:
        """The attributed target."""
        return self.options.target or self.index.recipe.query_target

    def of_payloads(self, payloads: Sequence[Mapping[str, Any]]) -> TargetSet:
        """Take payloads of queries as the target set. The model predicts what they leave out.

        Raises:
            InvalidQuery: One does not fit the Task. The message names its number.
        """
        chosen = self.options
        requests = [AttributionRequest(query=p, target=self.target, refine=chosen.refine) for p in payloads]
        questions = checked_requests(self.preparer, requests)
        return join_targets(self._query_batches(questions), chosen.reduction)

    def of_items(self, items: TrainSet | Sequence[Item], name: str = "target point {}") -> TargetSet:
        """Take complete items as the target set.

        Args:
            items: Items of the training set's kind.
            name: Name of an item in messages.

        Raises:
            InvalidQuery: There is none, or the target is unknown.
        """
        return join_targets(self._item_batches(items, range(len(items)), name), self.options.reduction)

    def of_rows(self, rows: Sequence[int]) -> TargetSet:
        """Take training points as the target set.

        Args:
            rows: Rows of the training set.
        """
        return join_targets(self._item_batches(self.task.train_set, rows, TRAINING), self.options.reduction)

    def scores(self, candidates: Iterable[Candidate], targets: TargetSet) -> CandidateScores:
        """Score candidates, which are read as they are needed.

        Raises:
            InvalidTask: A candidate cannot be differentiated. The message names it.
        """
        recipe, solved = self.index.recipe, self.options.refine > 0
        effect = effect_of(recipe, self.index.points, self.target, self.task, solved=solved)
        scorer = CandidateScorer(self.index, self.members, self.featurizer, targets, self.options.batch)
        return scorer.scores(candidates, effect)

    def _query_batches(self, questions: Sequence[CheckedRequest]) -> Iterator[tuple[Tensor, Tensor | None]]:
        for start in range(0, len(questions), self.options.batch):
            part = questions[start : start + self.options.batch]
            found = without_errors(self.preparer.features(part, StageTimer()), start)
            parts = [each.parts for each in found if each.parts is not None]
            yield (
                torch.stack([each.feature for each in found if each.feature is not None]),
                torch.stack(parts) if parts else None,
            )

    def _item_batches(
        self, items: TrainSet | Sequence[Item], rows: Sequence[int], name: str
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        if self.target not in {"loss", *self.task.targets}:
            known = ", ".join(["loss", *sorted(self.task.targets)])
            raise InvalidQuery(f"expected target to be one of {known}, got another name")
        for start in range(0, len(rows), self.options.batch):
            part = read_items(items, rows[start : start + self.options.batch], name)
            made = self.featurizer.features(part, self.target, refine=self.options.refine)
            yield made.whole_QK, made.parts_QMK


def parsed_candidate(interface: QueryInterface, raw: Mapping[str, Any], name: str) -> Candidate:
    """Turn a payload into a candidate.

    Args:
        interface: The Task's.
        raw: Decoded JSON.
        name: Names the candidate in messages.

    Returns:
        One item, or as many as training on the payload would have made (`QueryInterface.train`).

    Raises:
        InvalidQuery: The payload does not fit, or it leaves its label or completion out.
    """
    payload = validated(interface.payload, raw, name)
    try:
        return Candidate(name=name, items=_training_items(interface, payload))
    except InvalidQuery as error:
        raise InvalidQuery(f"{name}: {error}") from error.__cause__


def _training_items(interface: QueryInterface, payload: BaseModel) -> Sequence[Item]:
    if interface.train is not None:
        with task_code():
            return interface.train(payload)
    parsed = parse_query(interface, payload)
    if not parsed.complete:
        raise InvalidQuery(
            "expected a complete candidate, got one without its label or completion: training needs it"
        )
    return [parsed.item]
