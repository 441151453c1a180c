"""Score points outside the training set for a target set: which of them would lower its loss if they were trained on.

A candidate is differentiated as a training point: with the index's scale, projection, curvature and row weight, which
were fitted on the training set. Target points are queries. So a training point that comes as a candidate has the scores
that the index gives it.

Letters: N candidates, I their items, T target points (one where their mean is taken), M members, K numbers of a feature.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.attribution.effects import Effect
from byline.attribution.member_scores import member_scores
from byline.attribution.uncertainty import standard_errors
from byline.errors import InvalidQuery, NonFiniteGradient
from byline.features.queries import Featurizer
from byline.features.sampling import cut_batches
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.training_points import NamedItems
from byline.recipes import Recipe
from byline.task import Item

Reduction = Literal["mean", "max"]
"""A candidate's score: the mean over the target points, or the largest."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A point outside the training set."""

    name: str
    """Name in messages: `line 3 of new.jsonl`."""
    items: Sequence[Item]
    """Items of the training set's kind: one, or the chunks of a document. Their scores add up."""


@dataclass(frozen=True, kw_only=True)
class TargetSet:
    """Queries' features, or their mean."""

    features_TK: NDArray[np.float64]
    parts_TMK: NDArray[np.float64] | None
    """The members' parts, where the index has a PCA."""
    points: int
    """Target points, also where one mean is left of them."""
    reduction: Reduction


@dataclass(frozen=True, kw_only=True)
class CandidateScores:
    """Scores of candidates, in their order."""

    scores_N: NDArray[np.float64]
    """Positive: training on the candidate would raise the target (lower its loss)."""
    errors_N: NDArray[np.float64] | None
    """Standard error of each score. None without an ensemble."""
    closest_N: NDArray[np.int64] | None
    """Position of the target point with the largest score. None where the mean is taken."""
    effect: Effect
    """Unit of the scores, or the reason why they have none."""

    @property
    def predicted_changes(self) -> NDArray[np.float64] | None:
        """float64 [N]: change of the target by each candidate alone, in `effect.unit`. None where scores have no unit."""
        return self.effect.change(self.scores_N)

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions of the candidates, best first; ties by position."""
        return np.argsort(-self.scores_N, kind="stable")

    def change_of_best(self, count: int) -> float | None:
        """Predict the target's change if the best candidates were added together.

        First-order effects add up: what candidates have in common is counted for each of them.

        Args:
            count: Number of candidates.

        Returns:
            The sum of their predicted changes. None where scores have no unit, or where the largest score over the target
            points is taken, which may be of another point for each candidate.
        """
        changes_N = self.predicted_changes
        if changes_N is None or self.closest_N is not None:
            return None
        return float(changes_N[self.order[:count]].sum())


class CandidateScorer:
    """Scores candidates batch by batch.

    Args:
        index: The opened index.
        members: The ensemble.
        featurizer: With the members' models.
        targets: What candidates are scored for.
        batch: Items that are differentiated together.
    """

    def __init__(
        self,
        index: AttributionIndex,
        members: Sequence[Member],
        featurizer: Featurizer,
        targets: TargetSet,
        batch: int,
    ) -> None:
        refuse_candidates(index.recipe)
        self._index, self._members, self._featurizer = index, members, featurizer
        self._targets, self._batch = targets, batch

    def scores(self, candidates: Iterable[Candidate], effect: Effect) -> CandidateScores:
        """Score candidates, which are read as they are needed: memory is a batch's, and a few numbers for each of them.

        Args:
            candidates: In their order.
            effect: Unit of the scores.

        Raises:
            InvalidTask: A candidate cannot be differentiated. The message names it.
        """
        found = [self._batch_scores(part) for part in _parts(candidates, self._batch)]
        if not found:
            raise InvalidQuery("expected at least one candidate, got none")
        scores, errors, closest = zip(*found, strict=True)
        return CandidateScores(
            scores_N=np.concatenate(scores),
            errors_N=None if errors[0] is None else np.concatenate(errors),
            closest_N=None if closest[0] is None else np.concatenate(closest),
            effect=effect,
        )

    def _batch_scores(
        self, part: Sequence[Candidate]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.int64] | None]:
        vectors_NK = self._vectors(part)
        targets = self._targets
        by_member_NTM = member_scores(self._index, vectors_NK, targets.features_TK, targets.parts_TMK)
        best_N = by_member_NTM.mean(axis=-1).argmax(axis=1)
        own_NM = by_member_NTM[np.arange(len(best_N)), best_N]
        known = own_NM.shape[-1] == len(self._members)
        errors_N = standard_errors(own_NM, self._members) if known else None
        return own_NM.mean(axis=-1), errors_N, best_N if targets.reduction == "max" else None

    def _vectors(self, part: Sequence[Candidate]) -> NDArray[np.float64]:
        """Features of some candidates, float64 [N, K]: the sum over the items of each."""
        items = NamedItems(
            (item for each in part for item in each.items), (each.name for each in part for _ in each.items)
        )
        owner_I = torch.tensor([place for place, each in enumerate(part) for _ in each.items])
        vectors_NK = torch.zeros(len(part), self._index.width, dtype=torch.float64)
        for chosen in cut_batches(np.arange(len(items)), self._batch):
            rows = slice(int(chosen[0]), int(chosen[-1]) + 1)
            with torch.no_grad():
                vectors_NK.index_add_(0, owner_I[rows], self._featurizer.train(items[rows]).double())
        bad = (~vectors_NK.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if bad:
            raise NonFiniteGradient(f"{part[bad[0]].name}: its gradient is NaN or infinite: leave it out")
        return vectors_NK.numpy()


def join_targets(parts: Iterable[tuple[Tensor, Tensor | None]], reduction: Reduction) -> TargetSet:
    """Join batches of queries' features.

    Args:
        parts: Features [Q, K] and the members' parts [Q, M, K] of each batch. Read once, and added up for a mean.
        reduction: `mean` keeps one feature, and `max` all of them.

    Raises:
        InvalidQuery: There is no target point.
    """
    whole: list[Tensor] = []
    members: list[Tensor] = []
    points = 0
    for features_QK, parts_QMK in parts:
        points += len(features_QK)
        _gather(whole, features_QK.double(), reduction)
        if parts_QMK is not None:
            _gather(members, parts_QMK.double(), reduction)
    if not points:
        raise InvalidQuery("expected at least one target point, got none")
    divisor = points if reduction == "mean" else 1
    return TargetSet(
        features_TK=(torch.cat(whole) / divisor).numpy(),
        parts_TMK=(torch.cat(members) / divisor).numpy() if members else None,
        points=points,
        reduction=reduction,
    )


def _gather(kept: list[Tensor], rows: Tensor, reduction: Reduction) -> None:
    """Keep a batch's rows, or add their sum to the one that is kept."""
    if reduction == "max":
        kept.append(rows)
    elif kept:
        kept[0] = kept[0] + rows.sum(dim=0, keepdim=True)
    else:
        kept.append(rows.sum(dim=0, keepdim=True))


def _parts(candidates: Iterable[Candidate], batch: int) -> Iterator[list[Candidate]]:
    """Cut candidates into lists.

    Yields:
        As many as have `batch` items or a little more.
    """
    part: list[Candidate] = []
    items = 0
    for each in candidates:
        part.append(each)
        items += len(each.items)
        if items >= batch:
            yield part
            part, items = [], 0
    if part:
        yield part


def refuse_candidates(recipe: Recipe) -> None:
    """Require that a point's training feature follows from its gradient alone.

    Raises:
        InvalidQuery: It does not.
    """
    name = f"recipe '{recipe.name}'"
    reason = None
    if recipe.recorded:
        reason = f"{name} takes training points' features from a recorded run, and no candidate was in it"
    elif recipe.row_weight == "leverage":
        reason = f"{name} weighs points by their leverage, which is of the training set"
    elif recipe.members.forward_masks:
        reason = f"{name} weighs points under members.forward_masks, which an index does not hold"
    if reason is not None:
        raise InvalidQuery(f"{reason}: score candidates with an index of another recipe, such as 'ekfac'")
