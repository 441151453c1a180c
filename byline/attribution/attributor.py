"""The one entry to an opened index, for Python, the command line and the service.

Letters: Q questions, M members, k examples of an answer, O owners.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeGuard, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from byline.api.answer import Answer, SharesAnswer
from byline.api.query import AttributionKeywords, SharesKeywords, options_of
from byline.attribution.answer_writer import AnswerWriter
from byline.attribution.baseline_ranking import Similarities
from byline.attribution.candidate_scores import Candidate, CandidateScores
from byline.attribution.drill_down import make_drill_down, most_points_of, require_drill_down
from byline.attribution.index_facts import index_facts
from byline.attribution.opening import (
    load_featurizer,
    load_index_task,
    make_gradient_featurizer,
    require_points,
)
from byline.attribution.queries import CheckedRequest, PreparedQuery, QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.attribution.retrieval import Retrieval, SearchResult
from byline.attribution.score_matrix import (
    Fill,
    by_items,
    by_requests,
    checked_requests,
    fill_in_batches,
    query_items,
    require_batch,
)
from byline.attribution.selection import Selection, SelectionOptions, parsed_candidate
from byline.attribution.stage_timer import StageTimer
from byline.attribution.token_breakdown import make_breakdown, require_tokens, tells_tokens
from byline.errors import BylineError, InvalidQuery
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.training_points import EVALUATION, read_items
from byline.recipes import refuse_no_self_influence
from byline.search.searcher import Searcher
from byline.task import Task, TrainSet
from byline.tasks.points import Points


class Attributor:
    """An opened index with everything that answers questions about it.

    `check` may run in any thread. `answer`, `attribute`, `shares` and `warm` belong to one thread
    at a time.

    Args:
        index: The opened index.
        searcher: Searches it.
        task: The Task that the index was built from. None answers gradients and features only.
        featurizer: Makes query features. A `Featurizer` of queries too. None answers features only.
        name: Shown in answers. None takes the Task's.
    """

    def __init__(
        self,
        index: AttributionIndex,
        searcher: Searcher,
        *,
        task: Task | None = None,
        featurizer: GradientFeaturizer | None = None,
        name: str | None = None,
    ) -> None:
        self.index = index
        self.task = task
        self.name = name or index.manifest.task.name
        self.members: tuple[Member, ...] = tuple(
            Member(m.checkpoint, m.mask_seed, m.adapter, m.weight) for m in index.members
        )
        self._preparer = QueryPreparer(index.recipe, index.width, task=task, featurizer=featurizer)
        self._featurizer, self._searcher = featurizer, searcher
        self._retrieval = Retrieval(index, searcher, self.members)
        self._drill = make_drill_down(index, self.members, task, featurizer)
        self._breakdown = make_breakdown(index, task, featurizer)
        self._writer = AnswerWriter(index, self.members, self.name)
        self.similarities = Similarities(index, task, featurizer, searcher)
        """The baselines that are offered beside influence."""

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

        An index of a Task in memory opens without the Task unless it is given, and answers gradients and features then.

        Args:
            path: An index directory, or one version of it.
            verify: Whether every file is compared with the manifest's checksums, and a Task in memory with its
                digest.
            task: The Task, already loaded. None loads the one that the manifest names.
            threads: Search threads. None leaves the libraries' own number.
            name: Shown in answers. None takes the Task's.

        Raises:
            UnusableIndex: Its files are damaged, or its Task changed since (`StaleIndex`).
            NotFound: There is no index at `path`.
        """
        index = AttributionIndex.open(Path(path), verify=verify)
        if task is None and index.manifest.task.reference is None:
            return cls._without_task(index, threads, name)
        loaded = load_index_task(index, task, verify=verify)
        identified = task is None or (verify and index.manifest.task.reference is None)
        return cls(
            index,
            Searcher(index, threads=threads),
            task=loaded,
            featurizer=load_featurizer(index, loaded, identified=identified),
            name=name,
        )

    @classmethod
    def open_without_task(
        cls,
        path: Path | str,
        *,
        verify: bool = True,
        threads: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Open an index without its Task: it answers gradients and features.

        Args:
            path: An index directory, or one version of it.
            verify: Whether every file is compared with the manifest's checksums.
            threads: Search threads. None leaves the libraries' own number.
            name: Shown in answers. None takes the Task's.

        Raises:
            UnusableIndex: Its files are damaged.
            NotFound: There is no index at `path`.
        """
        return cls._without_task(AttributionIndex.open(Path(path), verify=verify), threads, name)

    @classmethod
    def _without_task(cls, index: AttributionIndex, threads: int | None, name: str | None) -> Self:
        searcher, featurizer = Searcher(index, threads=threads), make_gradient_featurizer(index)
        return cls(index, searcher, featurizer=featurizer, name=name)

    @property
    def recipe_fingerprint(self) -> str:
        """Digest of everything that determines a stored vector."""
        return self.index.fingerprint.recipe

    @property
    def tells_tokens(self) -> bool:
        """Whether questions may ask for `tokens`."""
        return tells_tokens(self.index, self._breakdown)

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """List the names (`member/parameter`) and shapes of what `AttributionRequest.gradient` holds."""
        return self._preparer.expected_gradients()

    def check(self, request: AttributionRequest) -> CheckedRequest:
        """Check a request without computing: payload, target, gradient names and shapes, feature.

        Raises:
            InvalidQuery: It does not fit this index.
        """
        if request.shares:
            self._refuse_mixed_owners()
        if request.baseline is not None:
            self.similarities.require(request.baseline)
        question = self._preparer.check(request)
        self._refuse_other_points(request.refine)
        if request.tokens:
            question = require_tokens(self.index, self._breakdown, question)
        if not (request.drill_down and request.examples):
            return question
        require_drill_down(self.index, self._drill)
        ends = 2 if request.direction == "both" else 1
        return replace(question, drilled=most_points_of(self.index, request.drill_groups * ends))

    def _refuse_mixed_owners(self) -> None:
        record = self.index.manifest.groups
        if record is not None and not record.owners_apart:
            raise InvalidQuery(
                f"expected an index whose groups do not mix owners, for shares, got one grouped by "
                f"'{record.options.by}': build one with groups.by = 'owner', or without groups"
            )

    @overload
    def attribute(self, query: AttributionRequest) -> Answer: ...

    @overload
    def attribute(self, query: Mapping[str, Any], **options: Unpack[AttributionKeywords]) -> Answer: ...

    def attribute(
        self, query: AttributionRequest | Mapping[str, Any], **options: Unpack[AttributionKeywords]
    ) -> Answer:
        """Find the most influential training points of one query.

        Args:
            query: A payload that fits the Task's `query.payload`. The model predicts what it leaves out. Or a whole
                `AttributionRequest`, which can also hold a gradient, a feature or a set of queries.
            **options: Fields of `byline.api.query.AttributionOptions`, as `Client.attribute` takes them. The first use of
                a `baseline` fits it, with a pass over the training set.

        Raises:
            InvalidQuery: The query or an option does not fit this index.
            NonFiniteGradient: The query's gradient is NaN or infinite.
        """
        request = _request_of(query, options)
        if request.baseline is not None:
            self.similarities.offer([request.baseline])
        question = self.check(request)
        if request.baseline is not None:
            self.similarities.fit()
        return _raised(self.answer([question])[0])

    @overload
    def shares(self, query: AttributionRequest) -> SharesAnswer: ...

    @overload
    def shares(self, query: Mapping[str, Any], **options: Unpack[SharesKeywords]) -> SharesAnswer: ...

    def shares(
        self, query: AttributionRequest | Mapping[str, Any], **options: Unpack[SharesKeywords]
    ) -> SharesAnswer:
        """Compute the share of each owner in one query's answer, over all rows.

        Args:
            query: A payload that fits the Task's `query.payload`, or a whole `AttributionRequest`.
            **options: The target, and the number of owners to list.

        Raises:
            InvalidQuery: The query or an option does not fit this index.
            NonFiniteGradient: The query's gradient is NaN or infinite.
        """
        request = _request_of(query, options)
        question = self.check(request.changed(shares=True, examples=False))
        return shares_answer(_raised(self.answer([question])[0]))

    def scores(
        self, queries: Points, *, target: str | None = None, batch: int = 32, refine: int = 0
    ) -> NDArray[np.float32]:
        """Score every row of the index for many queries.

        Args:
            queries: Q queries. A list of mappings holds payloads, where the Task has a query interface; anything else
                is a data set of complete items, of the training set's kind, or inputs and labels (see `item_scores`).
            target: A target of the Task; None takes the recipe's.
            batch: Queries that are differentiated, and solved, together.
            refine: Steps that solve each query, as in `AttributionOptions`.

        Returns:
            float32 [Q, R], in the order of the queries and of the index's rows. Positive: training on the row raised
            the target (lowered the loss).

        Raises:
            InvalidQuery: A query does not fit the index. The message names its number.
        """
        if not self._is_payloads(queries):
            return self.item_scores(queries, target=target, batch=batch, refine=refine)
        require_batch(batch)
        requests = [AttributionRequest(query=query, target=target, refine=refine) for query in queries]
        self._refuse_other_points(refine)
        questions = checked_requests(self._preparer, requests)
        return self._filled(by_requests(self._preparer, self._searcher, questions), len(queries), batch)

    def item_scores(
        self, items: Points, *, target: str | None = None, batch: int = 32, refine: int = 0
    ) -> NDArray[np.float32]:
        """Score every row of the index for complete items of the training set's kind; as `scores` in everything else.

        Args:
            items: Q items: a data set, or inputs [Q, ...] and labels [Q, ...] as two tensors or NumPy arrays.
            target: A target of the Task; None takes the recipe's.
            batch: Items that are differentiated, and solved, together.
            refine: Steps that solve each query, as in `AttributionOptions`.

        Returns:
            float32 [Q, R].

        Raises:
            InvalidQuery: The index was opened without its Task, or the items have another form than the training set's.
            StaleIndex: The Task has another number of training points, and queries are solved with them.
        """
        require_batch(batch)
        models = self._models()
        self._refuse_other_points(refine)
        asked = query_items(models, items)
        chosen = target or self.index.recipe.query_target
        fill = by_items(models, self._searcher, asked, chosen, refine=options_of(refine=refine).refine)
        return self._filled(fill, len(asked), batch)

    def score_candidates(
        self,
        candidates: Points,
        targets: Points | None = None,
        options: SelectionOptions = SelectionOptions(),  # noqa: B008 - frozen
    ) -> CandidateScores:
        """Score points outside the training set for a target set, and predict what training on each would change.

        Args:
            candidates: N points. A list of mappings holds payloads, each with its label or completion; anything else is a
                data set of complete items, or inputs and labels (see `item_scores`).
            targets: The target set, in one of these forms. None takes the Task's evaluation set.
            options: The target, how target points make one score, and the batch.

        Returns:
            Scores, standard errors, and predicted changes of the target where the recipe's scores have a unit.

        Raises:
            InvalidQuery: The recipe scores no candidates, or a candidate or target point does not fit.
        """
        selection = self.selection(options)
        if targets is None:
            found = selection.of_items(self._evaluation_set(), EVALUATION)
        elif self._is_payloads(targets):
            found = selection.of_payloads(targets)
        else:
            found = selection.of_items(query_items(self._models(), targets, "target points"))
        return selection.scores(self._candidates(candidates), found)

    def selection(self, options: SelectionOptions) -> Selection:
        """Make what ranks candidates, for applications that read them as a stream.

        Raises:
            InvalidQuery: The index was opened without its Task, or its recipe scores no candidates.
        """
        featurizer = self._models()
        assert self.task is not None
        self._refuse_other_points(options.refine)
        return Selection(
            index=self.index,
            members=self.members,
            task=self.task,
            preparer=self._preparer,
            featurizer=featurizer,
            options=options,
        )

    def _candidates(self, candidates: Points) -> Iterator[Candidate]:
        if self._is_payloads(candidates):
            assert self.task is not None
            assert self.task.query is not None
            for number, payload in enumerate(candidates, 1):
                yield parsed_candidate(self.task.query, payload, f"candidate {number}")
            return
        items = query_items(self._models(), candidates, "candidates")
        for place in range(len(items)):
            yield Candidate(name=f"candidate {place + 1}", items=[items[place]])

    def _evaluation_set(self) -> TrainSet:
        if self.task is None or self.task.evaluation_set is None:
            raise InvalidQuery(
                "expected targets, or a Task with an evaluation_set, got neither: pass the points whose loss is to fall"
            )
        return self.task.evaluation_set

    def self_influence(self) -> NDArray[np.float64]:
        """Score every row of the index for itself: wrong labels and odd points come out on top.

        Returns:
            float64 [R], in the order of the index's rows.

        Raises:
            InvalidQuery: The recipe gives every row the same self-influence.
        """
        refuse_no_self_influence(self.index.recipe)
        return np.asarray(self.index.self_influence)

    def _refuse_other_points(self, refine: int) -> None:
        """Require the index's own training points where queries are solved with them."""
        if refine and self.task is not None:
            require_points(self.task, self.index)

    def _filled(self, fill: Fill, count: int, batch: int) -> NDArray[np.float32]:
        scores_QR = np.empty((count, self.index.rows), dtype=np.float32)
        fill_in_batches(scores_QR, fill, batch)
        return scores_QR

    def _is_payloads(self, queries: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
        has_interface = self.task is not None and self.task.query is not None
        return (
            has_interface
            and isinstance(queries, list | tuple)
            and all(isinstance(query, Mapping) for query in queries)
        )

    def _models(self) -> Featurizer:
        if isinstance(self._featurizer, Featurizer):
            return self._featurizer
        raise InvalidQuery(
            "expected an index that was opened with its Task, for queries that are payloads or items: "
            "byline.open(path, task=task)"
        )

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in index_facts(self.index, self.members))
        return f"<byline.Attributor '{self.name}': {facts}>"

    def _repr_html_(self) -> str:
        from byline.api.answer_html import index_html

        return index_html(self.name, index_facts(self.index, self.members))

    def warm(self) -> None:
        """Fit the baselines, and answer one question of each kind, so that the first caller does not wait for it."""
        self.similarities.fit()
        feature = np.full(self.index.width, self.index.width**-0.5)
        groups = self.index.manifest.groups
        shares = groups is None or groups.owners_apart
        self.attribute(AttributionRequest(feature=feature, direction="both", shares=shares))
        if self.task is not None:
            self._preparer.warm(read_items(self.task.train_set, [0])[0])

    def answer(self, questions: Sequence[CheckedRequest]) -> list[Answer | BylineError]:
        """Answer a batch of checked questions.

        Args:
            questions: From `check`. Queries with one target share a gradient pass, and those with
                the same options a search.

        Returns:
            For each question its answer, or the error that it alone met.
        """
        watch = StageTimer()
        queries = self._preparer.features(questions, watch)
        with watch.stage("search"):
            found = self._find(queries)
        with watch.stage("join"):
            answers = {
                place: self._writer.answer(queries[place], what, watch.timings())
                for place, what in found.items()
            }
        wanted = [place for place in answers if queries[place].question.told]
        if wanted and self._breakdown is not None:
            with watch.stage("gradient"):
                answers |= self._breakdown.told(queries, {place: answers[place] for place in wanted})
        timings = watch.timings()
        return [
            each.error or answers[place].model_copy(update={"timings": timings})
            for place, each in enumerate(queries)
        ]

    def _find(self, queries: Sequence[PreparedQuery]) -> dict[int, SearchResult]:
        """Search for every question without an error, by its position; influence in one go."""
        ready = [
            place
            for place, each in enumerate(queries)
            if each.feature is not None and not each.error and each.question.request.baseline is None
        ]
        searched = self._retrieval.find([queries[place] for place in ready]) if ready else []
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
        question = query.question
        request = question.request
        if self._drill is None or not (request.examples and request.drill_down):
            return found
        return self._drill.into_points(query, found)


def shares_answer(answer: Answer) -> SharesAnswer:
    """Take the owners' part of an answer that was asked with `shares`."""
    return SharesAnswer.model_validate(answer.model_dump(include=set(SharesAnswer.model_fields)))


def _request_of(
    query: AttributionRequest | Mapping[str, Any], options: AttributionKeywords | SharesKeywords
) -> AttributionRequest:
    if not isinstance(query, AttributionRequest):
        return AttributionRequest(query=query, **dict(options_of(**options)))
    if options:
        raise InvalidQuery("expected the options inside the AttributionRequest, got keywords beside it")
    return query


def _raised(outcome: Answer | BylineError) -> Answer:
    if isinstance(outcome, BylineError):
        raise outcome
    return outcome
