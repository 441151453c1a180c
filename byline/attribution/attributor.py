"""The one way to ask an index: what the command line and the service share.

Letters: Q questions, M members, k examples of an answer, O owners.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from byline.attribution.answer import (
    Answer,
    Attribution,
    Coverage,
    OwnerShare,
    Shares,
    SharesAnswer,
    StandsOut,
)
from byline.attribution.lookup import End, Found, Lookup
from byline.attribution.noise import stands_out
from byline.attribution.owner_shares import owner_sums
from byline.attribution.questions import Featured, Question, Questions
from byline.attribution.request import AttributionRequest
from byline.attribution.stopwatch import Stopwatch
from byline.attribution.uncertainty import error_scope, standard_errors
from byline.errors import BylineError, StaleIndex
from byline.features import Featurizer
from byline.loading import load_task, weights_digest
from byline.members import Member
from byline.search.searcher import Searcher
from byline.store.index import AttributionIndex
from byline.task import Task


class Attributor:
    """An opened index with everything that answers questions about it.

    `check` may run in any thread; `answer`, `attribute`, `shares` and `warm` belong to one thread
    at a time.

    Args:
        index: The opened index.
        searcher: Searches it.
        task: What the index was built from; None answers gradients and features only.
        featurizer: Makes query features; None answers features only.
        name: Shown in answers; None takes the Task's.
    """

    def __init__(
        self,
        index: AttributionIndex,
        searcher: Searcher,
        *,
        task: Task | None = None,
        featurizer: Featurizer | None = None,
        name: str | None = None,
    ) -> None:
        self.index = index
        self.task = task
        self.name = name or index.manifest.task.name
        self.members: tuple[Member, ...] = tuple(
            Member(m.checkpoint, m.mask_seed) for m in index.members
        )
        self._featurizer = featurizer
        self._questions = Questions(index.recipe, index.width, task=task, featurizer=featurizer)
        self._lookup = Lookup(index, searcher)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        verify: bool = True,
        task: Task | None = None,
        threads: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Open an index, its Task and its models.

        Args:
            path: An index directory, or one version of it.
            verify: Whether every file is compared with the manifest's checksums.
            task: The Task, already loaded; None loads the one that the manifest names.
            threads: Search threads; None leaves the libraries' own number.
            name: Shown in answers; None takes the Task's.

        Raises:
            UnusableIndex: Its files are damaged, or its Task changed since (`StaleIndex`).
            NotFound: There is no index at `path`.
        """
        index = AttributionIndex.open(Path(path), verify=verify)
        loaded = task or _load_task(index)
        _hold_weights(loaded, index)
        states = {member.name: dict(index.states(member.name)) for member in index.members}
        featurizer = Featurizer.open(loaded, index.recipe, states)
        return cls(
            index, Searcher(index, threads=threads), task=loaded, featurizer=featurizer, name=name
        )

    @property
    def recipe_fingerprint(self) -> str:
        """Digest of everything that determines a stored vector."""
        return self.index.fingerprint.recipe

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """Names (`member/parameter`) and shapes of what `AttributionRequest.gradient` holds."""
        return self._questions.expected_gradients()

    def check(self, request: AttributionRequest, *, examples: bool = True) -> Question:
        """Check a request without computing: payload, target, gradient names and shapes, feature.

        Raises:
            InvalidQuery: It does not fit this index.
        """
        return self._questions.check(request, examples=examples)

    def attribute(self, request: AttributionRequest) -> Answer:
        """Answer one request: the most influential training points of a query.

        Raises:
            InvalidQuery: The request does not fit this index.
            NonFiniteGradient: The query's gradient is NaN or infinite.
        """
        return _raised(self.answer([self.check(request)])[0])

    def shares(self, request: AttributionRequest) -> SharesAnswer:
        """Each owner's share of one query's answer, over all rows; raises as `attribute` does."""
        question = self.check(replace(request, shares=True), examples=False)
        return shares_of(_raised(self.answer([question])[0]))

    def warm(self) -> None:
        """Answer one question of each kind, so that the first caller does not wait for it."""
        feature = np.full(self.index.width, self.index.width**-0.5)
        self.attribute(AttributionRequest(feature=feature, direction="both", shares=True))
        if self.task is not None and self._featurizer is not None:
            self._featurizer.query([self.task.train_set[0]], self.index.recipe.query_target)

    def answer(self, questions: Sequence[Question]) -> list[Answer | BylineError]:
        """Answer a batch of checked questions.

        Args:
            questions: From `check`. Queries with one target share a gradient pass, and those with
                the same options a search.

        Returns:
            For each question its answer, or the error that it alone met.
        """
        watch = Stopwatch()
        asked = self._questions.features(questions, watch)
        ready = [each for each in asked if each.feature is not None and each.error is None]
        with watch.stage("search"):
            found = self._find(ready)
        with watch.stage("join"):
            answers = [self._answer(each, what) for each, what in zip(ready, found, strict=True)]
        timings = watch.timings()
        outcomes: dict[int, Answer] = {
            id(each): answer.model_copy(update={"timings": timings})
            for each, answer in zip(ready, answers, strict=True)
        }
        return [each.error or outcomes[id(each)] for each in asked]

    def _find(self, ready: Sequence[Featured]) -> list[Found]:
        if not ready:
            return []
        features_QK = torch.stack([each.feature for each in ready if each.feature is not None])
        return self._lookup.find([each.question for each in ready], features_QK)

    def _answer(self, asked: Featured, found: Found) -> Answer:
        request, index = asked.question.request, self.index
        return Answer(
            index=self.name,
            version=index.version,
            recipe=index.recipe.name,
            recipe_fingerprint=self.recipe_fingerprint,
            exact=index.manifest.storage.search == "exact" or not asked.question.examples,
            target=asked.question.target,
            prediction=asked.predictions[0] if request.query is not None else None,
            predictions=tuple(asked.predictions) if request.query_set is not None else None,
            standard_error_scope=error_scope(self.members),
            timings=Stopwatch().timings(),
            proponents=self._attributions(found.proponents, members=request.members),
            opponents=self._attributions(found.opponents, members=request.members),
            coverage=self._coverage(found.searched if asked.question.examples else index.rows),
            stands_out=StandsOut(
                proponents=self._stands_out(found.proponents, found),
                opponents=self._stands_out(found.opponents, found),
            ),
            shares=self._shares(found),
        )

    def _attributions(self, end: End | None, *, members: bool) -> tuple[Attribution, ...] | None:
        if end is None:
            return None
        errors_k = standard_errors(end.by_member, self.members)
        examples = self.index.examples.by_rows(end.rows)
        names = [member.name for member in self.members]
        return tuple(
            Attribution(
                rank=i + 1,
                row=int(end.rows[i]),
                example=example,
                score=float(end.scores[i]),
                standard_error=None if errors_k is None else float(errors_k[i]),
                members=dict(zip(names, end.by_member[i].tolist(), strict=True))
                if members
                else None,
            )
            for i, example in enumerate(examples)
        )

    def _coverage(self, searched: int) -> Coverage:
        total = self.index.rows
        return Coverage(searched=searched, total=total, complete=searched == total)

    def _stands_out(self, end: End | None, found: Found) -> bool | None:
        if end is None or found.noise is None or not len(end.rows):
            return None
        errors_k = standard_errors(end.by_member[:1], self.members)
        error = None if errors_k is None else float(errors_k[0])
        return stands_out(float(end.scores[0]), error, found.noise, found.searched)

    def _shares(self, found: Found) -> Shares | None:
        if found.owners is None:
            return None
        sums = owner_sums(found.owners, self.members)
        owners_of_index = self.index.examples.owners()
        owners = [
            OwnerShare(
                owner=owner,
                licences=tuple(licences),
                examples=count,
                score=float(sums.score[o]),
                standard_error=_at(sums.score_error, o),
                share=_at(sums.share, o),
                share_standard_error=_at(sums.share_error, o),
            )
            for o, (owner, count, licences) in enumerate(owners_of_index)
        ]
        return Shares(
            owners=tuple(sorted(owners, key=lambda each: (-each.score, each.owner))),
            positive=sums.positive,
            clipped=sums.clipped,
            coverage=self._coverage(sum(count for _, count, _ in owners_of_index)),
        )


def shares_of(answer: Answer) -> SharesAnswer:
    """The owners' part of an answer that was asked with `shares`."""
    return SharesAnswer.model_validate(answer.model_dump(include=set(SharesAnswer.model_fields)))


def _load_task(index: AttributionIndex) -> Task:
    """Load the Task that the manifest names.

    Raises:
        StaleIndex: Its source is not the one that the index was built from.
    """
    record = index.manifest.task
    loaded = load_task(record.reference)
    if loaded.digest != record.digest:
        raise StaleIndex(
            f"the Task at {record.reference} changed since this index was built: "
            "rebuild the index, or restore the Task's source"
        )
    return loaded.task


def _hold_weights(task: Task, index: AttributionIndex) -> None:
    """Hold that the Task's weights are those that the index was built from.

    Raises:
        StaleIndex: They are not.
    """
    expected = index.fingerprint.weights
    same_number = len(task.checkpoints) == len(expected)
    if not same_number or [weights_digest(c) for c in task.checkpoints] != list(expected):
        raise StaleIndex(
            f"the weights of the Task's {len(task.checkpoints)} checkpoints are not those that "
            "this index was built from: rebuild the index, or restore the weights"
        )


def _at(values: np.ndarray | None, position: int) -> float | None:
    return None if values is None else float(values[position])


def _raised(outcome: Answer | BylineError) -> Answer:
    if isinstance(outcome, BylineError):
        raise outcome
    return outcome
