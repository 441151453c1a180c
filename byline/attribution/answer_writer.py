"""Write answers: rows with their metadata, and scores with their errors.

Letters: M members, k examples of an answer, O owners.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from byline.api.answer import Answer, Shares, SharesAnswer
from byline.api.answer_parts import (
    Attribution,
    CardFigure,
    CardSummary,
    Coverage,
    Optimism,
    OtherOwners,
    OwnerShare,
    SearchCertainty,
    StandsOut,
    Timings,
)
from byline.api.quality_card import QualityCard
from byline.api.terms import Direction
from byline.attribution.owner_shares import OwnerSums, owner_sums
from byline.attribution.queries import PreparedQuery
from byline.attribution.request import AttributionRequest
from byline.attribution.retrieval import RankedRows, SearchResult
from byline.attribution.top_works import TopWorks
from byline.attribution.uncertainty import error_scope, standard_errors, stands_out, unit_count
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.metrics.intervals import half_width, interval_around

OwnerWorks = tuple[tuple[str, float], ...]
"""Ids and scores of an owner's works."""


class AnswerWriter:
    """Writes the answers of one index.

    Args:
        index: Names the rows' examples.
        members: The ensemble.
        name: Shown in answers.
    """

    def __init__(self, index: AttributionIndex, members: Sequence[Member], name: str) -> None:
        self._index = index
        self._members = members
        self._name = name
        self._summed_up: tuple[QualityCard | None, CardSummary | None] = (None, None)

    @cached_property
    def _owners(self) -> list[tuple[str, int, list[str]]]:
        """In the order of the owners' sums. An index never changes."""
        known = self._index.examples.owners()
        if self._index.groups is None:
            return known
        owned = self._index.owners.rows >= 0
        points = np.bincount(self._index.owners.rows[owned], weights=self._index.groups.sizes[owned])
        return [(name, int(n), licenses) for (name, _, licenses), n in zip(known, points, strict=True)]

    def _card(self) -> CardSummary | None:
        """Return the current card's summary: `byline evaluate` may write a card beside an open index."""
        card, summary = self._summed_up
        if card is not self._index.quality.card:
            card = self._index.quality.card
            summary = card_summary(card)
            self._summed_up = card, summary
        return summary

    def answer(self, query: PreparedQuery, found: SearchResult, timings: Timings) -> Answer:
        """Write one answer.

        Args:
            query: The question, with its predictions.
            found: The search's result.
            timings: Times of the stages so far.

        Returns:
            The answer.
        """
        request, index = query.question.request, self._index
        return Answer(
            index=self._name,
            version=index.version,
            recipe=index.recipe.name if request.by_gradients else None,
            recipe_fingerprint=index.fingerprint.recipe if request.by_gradients else None,
            baseline=request.baseline,
            blend=found.blend,
            unit="group" if index.groups is not None and found.drilled is None else "point",
            drilled_groups=found.drilled,
            exact=_is_exact(found, index.points),
            search=_certainty(found),
            quality_card=self._card() if request.baseline is None else None,
            refined=query.refined,
            target=query.target,
            prediction=query.predictions[0] if request.query is not None else None,
            predictions=tuple(query.predictions) if request.query_set is not None else None,
            prediction_member=self._predictor(query),
            standard_error_scope=error_scope(self._known(found)),
            standard_error_units=unit_count(self._known(found)),
            timings=timings,
            proponents=self._attributions(found.proponents, members=request.members),
            opponents=self._attributions(found.opponents, members=request.members),
            coverage=self._coverage(found.points if request.examples else index.points),
            stands_out=StandsOut(
                proponents=self._stands_out("proponents", found.proponents, found),
                opponents=self._stands_out("opponents", found.opponents, found),
            ),
            optimism=Optimism(
                proponents=found.proponents.optimism if found.proponents else None,
                opponents=found.opponents.optimism if found.opponents else None,
            ),
            shares=self._shares(found, request),
        )

    def _of_columns(self, scores_xM: NDArray[np.float64]) -> Sequence[Member]:
        """The members that scores are by. One in place of all where their own scores are not known."""
        return self._members if scores_xM.shape[-1] == len(self._members) else self._members[:1]

    def _known(self, found: SearchResult) -> Sequence[Member]:
        for by_member in (found.owners, *(e.by_member for e in (found.proponents, found.opponents) if e)):
            if by_member is not None:
                return self._of_columns(by_member)
        return self._members

    def _predictor(self, query: PreparedQuery) -> str | None:
        """The first member without its mask, as `Featurizer.model` is."""
        predicted = any(prediction is not None for prediction in query.predictions)
        return replace(self._members[0], mask_seed=None).name if predicted else None

    def _attributions(self, end: RankedRows | None, *, members: bool) -> tuple[Attribution, ...] | None:
        if end is None:
            return None
        known = self._of_columns(end.by_member)
        errors_k, units = standard_errors(end.by_member, known), unit_count(known)
        middles_k = end.scores * (1 - (end.optimism or 0.0))
        examples = end.examples or self._index.examples.by_rows(end.rows)
        return tuple(
            Attribution(
                rank=i + 1,
                row=int(end.rows[i]),
                example=example,
                score=float(end.scores[i]),
                standard_error=_at(errors_k, i),
                interval=_interval(_at(middles_k, i), _at(errors_k, i), units),
                members=self._by_name(end.by_member[i]) if members else None,
            )
            for i, example in enumerate(examples)
        )

    def _coverage(self, searched: int) -> Coverage:
        total = self._index.points
        return Coverage(searched=searched, total=total, complete=searched == total)

    def _stands_out(self, name: Direction, end: RankedRows | None, found: SearchResult) -> bool | None:
        if end is None or found.noise is None or not len(end.rows):
            return None
        known = self._of_columns(end.by_member)
        error, units = _at(standard_errors(end.by_member[:1], known), 0), unit_count(known)
        half = None if error is None or units is None else half_width(error, units)
        return stands_out(name, float(end.scores[0]), half, found.noise, found.searched)

    def _shares(self, found: SearchResult, request: AttributionRequest) -> Shares | None:
        if found.owners is None:
            return None
        limit = request.listed_owners
        sums, owners = owner_sums(found.owners, self._of_columns(found.owners)), self._owners
        order = sorted(range(len(owners)), key=lambda o: (-sums.score[o], owners[o][0]))
        listed, left = order[:limit], order[len(order) if limit is None else limit :]
        works = self._works(found.works)
        return Shares(
            owners=tuple(
                self._share(sums, o, found.owners[o] if request.members else None, works(o)) for o in listed
            ),
            others=self._others(sums, left) if left else None,
            positive=sums.positive,
            clipped=sums.clipped,
            coverage=self._coverage(sum(count for _, count, _ in owners)),
        )

    def _works(self, found: TopWorks | None) -> Callable[[int], OwnerWorks]:
        """Make the function that names an owner's works."""
        if found is None:
            return lambda _: ()
        named = list(zip(self._index.examples.ids(found.rows_N), found.scores_N.tolist(), strict=True))
        return lambda o: tuple(named[found.of(o)])

    def _share(
        self, sums: OwnerSums, o: int, by_member: NDArray[np.float64] | None, works: OwnerWorks
    ) -> OwnerShare:
        owner, count, licenses = self._owners[o]
        bounds = sums.share_interval
        return OwnerShare(
            owner=owner,
            licenses=tuple(licenses),
            examples=count,
            score=float(sums.score[o]),
            standard_error=_at(sums.score_error, o),
            interval=_interval(float(sums.score[o]), _at(sums.score_error, o), sums.units),
            share=_at(sums.share, o),
            share_standard_error=_at(sums.share_error, o),
            share_interval=None if bounds is None else (float(bounds[o, 0]), float(bounds[o, 1])),
            members=None if by_member is None else self._by_name(by_member),
            works=works,
        )

    def _by_name(self, scores_M: NDArray[np.float64]) -> dict[str, float] | None:
        """Scores by the members' names. None where the members' own are not known."""
        known = len(scores_M) == len(self._members)
        names = (member.name for member in self._members)
        return dict(zip(names, scores_M.tolist(), strict=True)) if known else None

    def _others(self, sums: OwnerSums, left: Sequence[int]) -> OtherOwners:
        return OtherOwners(
            owners=len(left),
            examples=sum(self._owners[o][1] for o in left),
            score=float(sums.score[left].sum()),
            share=None if sums.share is None else float(sums.share[left].sum()),
        )


def _is_exact(found: SearchResult, points: int) -> bool:
    """Tell whether every possible result was scored. After a drill-down, all training points."""
    if found.drilled is not None:
        return found.points == points
    return found.certainty is None or found.certainty.exact


def _certainty(found: SearchResult) -> SearchCertainty | None:
    certainty = found.certainty
    return None if certainty is None else SearchCertainty.model_validate(asdict(certainty))


def shares_answer(answer: Answer) -> SharesAnswer:
    """Take the owners' part of an answer that was asked with `shares`."""
    return SharesAnswer.model_validate(answer.model_dump(include=set(SharesAnswer.model_fields)))


def card_summary(card: QualityCard | None) -> CardSummary | None:
    """Summarize an index's quality card for answers."""
    if card is None or not card.measurements:
        return None
    figures = tuple(
        CardFigure(
            metric=m.metric,
            target=m.protocol.target,
            text=m.text,
            value=m.value,
            interval=m.interval,
            ceiling=m.ceiling,
            not_better_than=m.not_better_than,
        )
        for m in card.measurements
    )
    return CardSummary(text=card.text, manifest=card.manifest, figures=figures)


def _interval(middle: float | None, error: float | None, units: int | None) -> tuple[float, float] | None:
    return None if middle is None or error is None or units is None else interval_around(middle, error, units)


def _at(values: NDArray[np.float64] | None, position: int) -> float | None:
    return None if values is None else float(values[position])
