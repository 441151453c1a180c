"""From requests to answers, stage by stage: check, features, search, metadata, breakdowns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from byline.api.answer import Answer
from byline.attribution.answer_writer import AnswerWriter
from byline.attribution.baseline_ranking import Similarities
from byline.attribution.drill_down import DrillDown, most_points_of, require_drill_down
from byline.attribution.noise_breakdown import NoiseBreakdown, require_noise
from byline.attribution.opening import require_points
from byline.attribution.queries import CheckedRequest, PreparedQuery, QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.retrieval import Retrieval, SearchResult
from byline.attribution.stage_timer import StageTimer
from byline.attribution.token_breakdown import TokenBreakdown, require_tokens
from byline.errors import BylineError, InvalidQuery
from byline.index.index import AttributionIndex
from byline.models.training_points import read_items
from byline.task import Task


@dataclass(frozen=True, kw_only=True)
class AnswerStages:
    """The stages of an answer, for one opened index. `check` may run in any thread, `answer` in one at a time."""

    index: AttributionIndex
    """The opened index."""
    task: Task | None
    """The index's. None answers gradients and features only."""
    preparer: QueryPreparer
    """Makes the questions' features."""
    retrieval: Retrieval
    """Finds rows by influence."""
    similarities: Similarities
    """Finds rows by a baseline."""
    drill: DrillDown | None
    """Scores the points of groups. None without groups or without a Task."""
    breakdown: TokenBreakdown | None
    """Takes scores apart by token. None without a Task."""
    noise: NoiseBreakdown | None
    """Takes scores apart by draws and bands. None without a Task that declares them."""
    writer: AnswerWriter
    """Writes what was found."""

    def check(self, request: AttributionRequest) -> CheckedRequest:
        """Check a request without computing.

        Args:
            request: A question in any form.

        Returns:
            The question with its payloads and its cost.

        Raises:
            InvalidQuery: It does not fit this index.
            StaleIndex: The Task has another number of training points, and the question needs them.
        """
        if request.shares:
            self._refuse_mixed_owners()
        if request.baseline is not None:
            self.similarities.require(request.baseline)
        question = self.preparer.check(request)
        if request.refine and self.task is not None:
            require_points(self.task, self.index)
        if request.tokens:
            question = require_tokens(self.index, self.breakdown, question)
        if request.replicates:
            question = require_noise(self.index, self.task, question)
        if not (request.drill_down and request.examples):
            return question
        require_drill_down(self.index, self.drill)
        ends = 2 if request.direction == "both" else 1
        return replace(question, drilled=most_points_of(self.index, request.drill_groups * ends))

    def answer(self, questions: Sequence[CheckedRequest]) -> list[Answer | BylineError]:
        """Answer a batch of checked questions.

        Args:
            questions: From `check`.

        Returns:
            For each question its answer, or the error that it alone met.
        """
        watch = StageTimer()
        queries = self.preparer.features(questions, watch)
        with watch.stage("search"):
            found = self._find(queries)
        with watch.stage("join"):
            answers = {
                place: self.writer.answer(queries[place], what, watch.timings())
                for place, what in found.items()
            }
        told = {place: answers[place] for place in answers if queries[place].question.told}
        drawn = {place: answers[place] for place in answers if queries[place].question.drawn}
        for breakdown, wanted in ((self.breakdown, told), (self.noise, drawn)):
            if wanted and breakdown is not None:
                with watch.stage("gradient"):
                    answers |= _explained(breakdown, queries, wanted)
        timings = watch.timings()
        return [
            each.error or answers[place].model_copy(update={"timings": timings})
            for place, each in enumerate(queries)
        ]

    def alone(self, request: AttributionRequest) -> Answer:
        """Answer one question, and fit the baseline that it asks for.

        Args:
            request: The question.

        Raises:
            InvalidQuery: It does not fit this index.
            NonFiniteGradient: Its gradient is NaN or infinite.
        """
        if request.baseline is not None:
            self.similarities.offer([request.baseline])
        question = self.check(request)
        if request.baseline is not None:
            self.similarities.fit()
        (outcome,) = self.answer([question])
        if isinstance(outcome, BylineError):
            raise outcome
        return outcome

    def warm(self) -> None:
        """Fit the baselines, and answer one question of each kind."""
        self.similarities.fit()
        feature = np.full(self.index.width, self.index.width**-0.5)
        groups = self.index.manifest.groups
        shares = groups is None or groups.owners_apart
        self.alone(AttributionRequest(feature=feature, direction="both", shares=shares))
        if self.task is not None:
            self.preparer.warm(read_items(self.task.train_set, [0])[0])

    def _find(self, queries: Sequence[PreparedQuery]) -> dict[int, SearchResult]:
        """Search for every question without an error, by its position; influence in one go."""
        ready = [
            place
            for place, each in enumerate(queries)
            if each.feature is not None and not each.error and each.question.request.baseline is None
        ]
        searched = self.retrieval.find([queries[place] for place in ready]) if ready else []
        found: dict[int, SearchResult] = {}
        for place, what in zip(ready, searched, strict=True):
            try:
                found[place] = self._drilled(queries[place], what)
            except BylineError as error:
                queries[place].error = error
        for place, each in enumerate(queries):
            if each.question.request.baseline is not None and not each.error:
                try:
                    found[place] = self.similarities.find(each)
                except BylineError as error:
                    each.error = error
        return found

    def _drilled(self, query: PreparedQuery, found: SearchResult) -> SearchResult:
        request = query.question.request
        if self.drill is None or not (request.examples and request.drill_down):
            return found
        return self.drill.into_points(query, found)

    def _refuse_mixed_owners(self) -> None:
        record = self.index.manifest.groups
        if record is not None and not record.owners_apart:
            raise InvalidQuery(
                f"expected an index whose groups do not mix owners, for shares, got one grouped by "
                f"'{record.options.by}': build one with groups.by = 'owner', or without groups"
            )


def _explained(
    breakdown: TokenBreakdown | NoiseBreakdown,
    queries: Sequence[PreparedQuery],
    answers: Mapping[int, Answer],
) -> dict[int, Answer]:
    """Take answers apart, by the place of their question. One question's error stays with it."""
    found: dict[int, Answer] = {}
    for place, answer in answers.items():
        try:
            found[place] = breakdown.explain(queries[place], answer)
        except BylineError as error:
            queries[place].error = error
    return found
