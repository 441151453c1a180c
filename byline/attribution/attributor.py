"""The one entry to an opened index, for Python, the command line and the service.

Letters: Q questions, M members, k examples of an answer, O owners.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from byline.api.answer import Answer, SharesAnswer
from byline.api.query import AttributionKeywords, SharesKeywords
from byline.attribution.answer_stages import AnswerStages
from byline.attribution.answer_writer import AnswerWriter, shares_answer
from byline.attribution.baseline_ranking import Similarities
from byline.attribution.candidate_scores import CandidateScores
from byline.attribution.drill_down import make_drill_down
from byline.attribution.index_facts import index_facts
from byline.attribution.noise_breakdown import make_noise_breakdown, tells_noise
from byline.attribution.opening import load_featurizer, load_index_task, make_gradient_featurizer
from byline.attribution.point_forms import PointForms
from byline.attribution.queries import CheckedRequest, QueryPreparer
from byline.attribution.request import AttributionRequest, request_of
from byline.attribution.retrieval import Retrieval
from byline.attribution.row_scorer import RowScorer
from byline.attribution.selection import Selection, SelectionOptions
from byline.attribution.shown_images import with_image_data
from byline.attribution.token_breakdown import make_breakdown, tells_tokens
from byline.errors import BylineError
from byline.features.queries import GradientFeaturizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.recipes import refuse_no_self_influence
from byline.search.searcher import Searcher
from byline.task import Task
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
        self._forms = PointForms(task=task, featurizer=featurizer)
        self._rows = RowScorer(index=index, task=task, preparer=self._preparer, searcher=searcher)
        self._breakdown = make_breakdown(index, task, featurizer)
        self.similarities = Similarities(index, task, featurizer, searcher)
        """The baselines that are offered beside influence."""
        self._stages = AnswerStages(
            index=index,
            task=task,
            preparer=self._preparer,
            retrieval=Retrieval(index, searcher, self.members),
            similarities=self.similarities,
            drill=make_drill_down(index, self.members, task, featurizer),
            breakdown=self._breakdown,
            noise=make_noise_breakdown(index, task, featurizer),
            writer=AnswerWriter(index, self.members, self.name),
        )

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

    @property
    def tells_noise(self) -> bool:
        """Whether questions may ask for `replicates`."""
        return tells_noise(self.index, self.task)

    @property
    def gives_shares(self) -> bool:
        """Whether questions may ask for `shares`: no group holds points of several owners."""
        groups = self.index.manifest.groups
        return groups is None or groups.owners_apart

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """List the names (`member/parameter`) and shapes of what `AttributionRequest.gradient` holds."""
        return self._preparer.expected_gradients()

    def check(self, request: AttributionRequest) -> CheckedRequest:
        """Check a request without computing: payload, target, gradient names and shapes, feature.

        Raises:
            InvalidQuery: It does not fit this index.
        """
        return self._stages.check(request)

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
        return with_image_data(self._stages.alone(request_of(query, options)), self.index.examples)

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
        request = request_of(query, options).changed(shares=True, examples=False)
        return shares_answer(self._stages.alone(request))

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
        if not self._forms.is_payloads(queries):
            return self.item_scores(queries, target=target, batch=batch, refine=refine)
        requests = [AttributionRequest(query=query, target=target, refine=refine) for query in queries]
        return self._rows.of_requests(requests, batch)

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
        return self._rows.of_items(self._forms.models(), items, target, batch=batch, refine=refine)

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
        return selection.scores(
            self._forms.candidates(candidates), self._forms.target_set(selection, targets)
        )

    def selection(self, options: SelectionOptions) -> Selection:
        """Make what ranks candidates, for applications that read them as a stream.

        Raises:
            InvalidQuery: The index was opened without its Task, or its recipe scores no candidates.
        """
        featurizer = self._forms.models()
        assert self.task is not None
        return Selection(
            index=self.index,
            members=self.members,
            task=self.task,
            preparer=self._preparer,
            featurizer=featurizer,
            options=options,
        )

    def self_influence(self) -> NDArray[np.float64]:
        """Score every row of the index for itself: wrong labels and odd points come out on top.

        Returns:
            float64 [R], in the order of the index's rows.

        Raises:
            InvalidQuery: The recipe gives every row the same self-influence.
        """
        refuse_no_self_influence(self.index.recipe)
        return np.asarray(self.index.self_influence)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in index_facts(self.index, self.members))
        return f"<byline.Attributor '{self.name}': {facts}>"

    def _repr_html_(self) -> str:
        from byline.api.answer_html import index_html

        return index_html(self.name, index_facts(self.index, self.members))

    def warm(self) -> None:
        """Fit the baselines, and answer one question of each kind, so that the first caller does not wait for it."""
        self._stages.warm()

    def answer(self, questions: Sequence[CheckedRequest]) -> list[Answer | BylineError]:
        """Answer a batch of checked questions.

        Args:
            questions: From `check`. Queries with one target share a gradient pass, and those with
                the same options a search.

        Returns:
            For each question its answer, or the error that it alone met.
        """
        return self._stages.answer(questions)
