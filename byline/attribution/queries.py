"""From a request to a query feature: validate, parse, predict, differentiate, project.

`QueryPreparer.check` is cheap, needs no model and may run in any thread. `QueryPreparer.features` computes
and belongs to the one thread that owns the model. Letters: Q questions, K numbers of a feature.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from pydantic import BaseModel, JsonValue
from torch import Tensor

from byline.api.answer_parts import Refinement
from byline.api.validation import validated
from byline.attribution.request import AttributionRequest
from byline.attribution.stage_timer import StageTimer
from byline.attribution.task_code import parse_query, predict_query, task_code
from byline.curvature.iterative import IterativeCurvature
from byline.errors import BylineError, InvalidQuery, InvalidTask, NonFiniteGradient
from byline.features.gradient_names import checked_gradients
from byline.features.queries import Featurizer, GradientFeaturizer, QueryFeatures
from byline.features.refining import Refined, refuse_unrefinable
from byline.recipes import Recipe
from byline.task import Item, QueryInterface, Task

LARGEST_NUMBER = 1e15
"""Features beyond this are refused: their products would overflow the search's single precision."""

ENTRIES_OF_A_GRADIENT = 1000
"""Entries of an answer that are counted as much as a gradient: reading and writing them takes time."""


@dataclass(frozen=True, kw_only=True)
class CheckedRequest:
    """A request that was checked against the index: what is left to do needs the model."""

    request: AttributionRequest
    payloads: tuple[BaseModel, ...] = ()
    """Validated payloads; none where a gradient or a feature came."""
    target: str | None = None
    """The target's name. None where a gradient or a feature came, or similarity ranks."""
    drilled: int = 0
    """Training points that a drill-down may have to differentiate."""
    told: int = 0
    """Passes over the query and over training points that scores token by token take."""
    drawn: int = 0
    """Further passes over the query that scores over its draws take."""
    passes: int = 0
    """Passes over the curvature's sample that solving it may take, over all members."""

    @property
    def batch_cost(self) -> int:
        """Gradients that must be computed, at least 1, and 1 more for every thousand entries listed."""
        listed = self.request.entries // ENTRIES_OF_A_GRADIENT
        return max(1, len(self.payloads)) + listed + self.drilled + self.told + self.drawn

    @property
    def cost(self) -> int:
        """The same, and the passes of a recipe that solves each query: queries of one batch share them."""
        return self.batch_cost + self.passes


@dataclass(kw_only=True)
class PreparedQuery:
    """A question with its feature, or with the error that it met."""

    question: CheckedRequest
    feature: Tensor | None = None
    """[K]"""
    parts: Tensor | None = None
    """[M, K], the members' parts, where the index has a PCA. A finished feature has none."""
    items: list[Item] = field(default_factory=list)
    predictions: list[Mapping[str, JsonValue] | None] = field(default_factory=list)
    refined: Refinement | None = None
    """How far the query was solved. None where it was not refined."""
    target: str | None = None
    """The attributed target: the question's, or the Task's own for a query that the model completed."""
    error: BylineError | None = None

    @property
    def is_differentiated(self) -> bool:
        """Whether the items' gradients must be computed."""
        return bool(self.question.payloads) and self.question.request.by_gradients and self.error is None


class QueryPreparer:
    """Turns requests for one index into query features.

    Args:
        recipe: The index's.
        width: Numbers K of a feature.
        task: None where the index is served without its Task: then gradients and features only.
        featurizer: A `Featurizer` where there is a Task. None answers features only.
    """

    def __init__(
        self, recipe: Recipe, width: int, *, task: Task | None, featurizer: GradientFeaturizer | None
    ) -> None:
        self._recipe = recipe
        self._width = width
        self._task = task
        self._featurizer = featurizer
        self._passes = _passes(recipe, featurizer)

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """List the names and shapes of the gradient tensors that a request may carry.

        Raises:
            InvalidQuery: The index cannot project gradients.
        """
        return self._needs_featurizer().expected_gradients()

    def warm(self, item: Item) -> None:
        """Differentiate one item, so that the first caller does not wait for what a first time costs."""
        self._models().features([item], self._recipe.query_target)

    def check(self, request: AttributionRequest) -> CheckedRequest:
        """Check a request against the index, without computing.

        Raises:
            InvalidQuery: The payload, the target, a gradient or the feature does not fit.
        """
        if request.feature is not None:
            self._feature(request)
            return CheckedRequest(request=request)
        if request.gradient is not None:
            checked_gradients(request.gradient, self.expected_gradients())
            return CheckedRequest(request=request, passes=self._passes_of(request))
        interface = self._interface()
        raw = [request.query] if request.query is not None else list(request.query_set or ())
        if not raw:
            raise InvalidQuery("expected query_set to hold at least one query, got none")
        payloads = tuple(
            validated(interface.payload, payload, _name(request, number), _pointer(request, number))
            for number, payload in enumerate(raw, 1)
        )
        return CheckedRequest(
            request=request,
            payloads=payloads,
            target=self._target(request.target) if request.by_gradients else None,
            passes=self._passes_of(request) if request.by_gradients else 0,
        )

    def _passes_of(self, request: AttributionRequest) -> int:
        """Passes over training points that a request may take, once it is clear that it can be refined."""
        if not request.refine:
            return self._passes
        refuse_unrefinable(self._recipe)
        if self._task is None:
            raise InvalidQuery(
                "refine solves a query with batches of training points, and this index was opened without its Task: open "
                "it with the Task, or leave refine out"
            )
        if self._task.outputs is None:
            raise InvalidQuery(
                "refine needs Task.outputs, which says how the model predicts, and this index's Task declares none: "
                "declare byline.task.Outputs, or leave refine out"
            )
        return (request.refine + 1) * len(self._models().members)

    def features(self, questions: Sequence[CheckedRequest], watch: StageTimer) -> list[PreparedQuery]:
        """Compute the feature of each question. One question's error does not touch the others.

        Questions that similarity ranks get their items only.
        """
        queries = self.make_items(questions, watch)
        with watch.stage("gradient"):
            self._differentiate([each for each in queries if each.is_differentiated])
        with watch.stage("transform"):
            for each in queries:
                if not each.question.payloads:
                    _attempt(each, self._transform)
        for each in queries:
            if each.feature is not None:
                _attempt(each, _check_size)
        return queries

    def make_items(self, questions: Sequence[CheckedRequest], watch: StageTimer) -> list[PreparedQuery]:
        """Make each question's items, predicting what its payloads leave open, and no feature yet."""
        queries = [PreparedQuery(question=question, target=question.target) for question in questions]
        with watch.stage("predict"):
            for each in queries:
                _attempt(each, self._complete)
        return queries

    def _target(self, name: str | None) -> str:
        if name is None:
            return self._recipe.query_target
        known = ["loss", *sorted(self._task.targets)] if self._task else []
        if name not in known:
            raise InvalidQuery(f"expected target to be one of {', '.join(known)}, got another name")
        return name

    def _interface(self) -> QueryInterface:
        if self._task is None:
            raise InvalidQuery(
                "this index was opened without its Task, which parses queries: open it with the Task (pass the object "
                "as `task=`, where it was declared in memory), or send gradient tensors or a finished feature"
            )
        if self._task.query is None:
            raise InvalidQuery(
                "this index takes no payloads, since its Task declares no QueryInterface: index.item_scores(items) scores "
                "complete items of the training set's kind; or send gradient tensors or a finished feature"
            )
        return self._task.query

    def _needs_featurizer(self) -> GradientFeaturizer:
        if self._featurizer is None:
            raise InvalidQuery(
                "this index was opened without its projection, so it takes no gradients: send a finished feature"
            )
        return self._featurizer

    def _models(self) -> Featurizer:
        if self._task is None:
            raise InvalidQuery("this index was opened without its Task: send gradient tensors or a feature")
        return cast(Featurizer, self._needs_featurizer())  # with a Task comes a featurizer of queries

    def _feature(self, request: AttributionRequest) -> Tensor:
        try:
            feature_K = torch.from_numpy(np.array(request.feature, dtype=np.float64))
        except (TypeError, ValueError, OverflowError):
            raise InvalidQuery(f"expected feature to be {self._width} numbers, got something else") from None
        if feature_K.shape != (self._width,):
            raise InvalidQuery(
                f"expected a feature of {self._width} numbers, got shape {tuple(feature_K.shape)}"
            )
        if not torch.isfinite(feature_K).all() or feature_K.abs().max() > LARGEST_NUMBER:
            raise InvalidQuery(f"expected a feature of finite numbers up to {LARGEST_NUMBER:.0e}")
        return feature_K.to(torch.float32)

    def _complete(self, query: PreparedQuery) -> None:
        """Parse every payload, and predict what it leaves open."""
        for number, payload in enumerate(query.question.payloads, 1):
            with _numbered(query.question.request, number):
                item, prediction = self._item(payload)
            query.items.append(item)
            query.predictions.append(prediction)
        if query.question.request.replicates:
            query.items = self._replicates(query.items[0], query.question.request.replicates)
        if any(prediction is not None for prediction in query.predictions):
            query.target = self._predicted_target(query.question)

    def _replicates(self, item: Item, count: int) -> list[Item]:
        """Give a query so many independent sets of draws."""
        assert self._task is not None
        assert self._task.noise is not None
        with task_code():
            return [self._task.noise.replicate(item, number) for number in range(count)]

    def _predicted_target(self, question: CheckedRequest) -> str | None:
        chosen = question.request.target is not None or question.target is None
        return question.target if chosen else self._interface().predicted_target or question.target

    def _item(self, payload: BaseModel) -> tuple[Item, Mapping[str, JsonValue] | None]:
        interface = self._interface()
        parsed = parse_query(interface, payload)
        if parsed.complete:
            return parsed.item, None
        prediction = predict_query(interface, self._models().model, parsed.item)
        return prediction.item, prediction.output

    def _differentiate(self, queries: Sequence[PreparedQuery]) -> None:
        """Queries with one target and one `refine` share a batch. Where the batch fails, each is tried alone."""
        alike: dict[tuple[str | None, int], list[PreparedQuery]] = {}
        for each in queries:
            if each.question.request.averaged:
                _attempt(each, self._differentiate_alone)
            else:
                alike.setdefault((each.target, each.question.request.refine), []).append(each)
        for (target, refine), group in alike.items():
            try:
                made = self._models().features([each.items[0] for each in group], target, refine=refine)
            except Exception:  # whose fault it is shows when each is tried alone
                for each in group:
                    _attempt(each, self._differentiate_alone)
                continue
            for place, each in enumerate(group):
                _take(each, made, place)

    def _differentiate_alone(self, query: PreparedQuery) -> None:
        request, target = query.question.request, query.target
        try:
            with task_code():
                made = self._models().features(
                    query.items, target, mean=request.averaged, refine=request.refine
                )
        except (InvalidQuery, InvalidTask, NonFiniteGradient):
            for number, item in enumerate(query.items, 1):  # the first that fails alone is named
                with _numbered(request, number), task_code():
                    self._models().features([item], target)
            raise
        _take(query, made, 0)

    def _transform(self, query: PreparedQuery) -> None:
        request = query.question.request
        if request.gradient is not None:
            _take(query, self._needs_featurizer().features_of(request.gradient, refine=request.refine), 0)
        else:
            query.feature = self._feature(request)


def _name(request: AttributionRequest, number: int) -> str:
    """Name a query in messages: queries of a set have numbers, from 1."""
    return "query" if request.query_set is None else f"query {number} of query_set"


def _pointer(request: AttributionRequest, number: int) -> str:
    return "/query" if request.query_set is None else f"/query_set/{number - 1}"


@contextmanager
def _numbered(request: AttributionRequest, number: int) -> Iterator[None]:
    """Name the query of a set that an error is of."""
    try:
        yield
    except BylineError as error:
        if request.query_set is None:
            raise
        raise type(error)(f"{_name(request, number)}: {error}") from error.__cause__


def _passes(recipe: Recipe, featurizer: GradientFeaturizer | None) -> int:
    """Passes over the sample that one query may take: each member solves it."""
    if featurizer is None or not isinstance(recipe.curvature, IterativeCurvature):
        return 0
    return recipe.curvature.passes * len(featurizer.members)


def _take(query: PreparedQuery, made: QueryFeatures, place: int) -> None:
    query.feature = made.whole_QK[place]
    query.parts = None if made.parts_QMK is None else made.parts_QMK[place]
    query.refined = None if made.refined is None else refinement(made.refined, place)


def refinement(refined: Refined, place: int) -> Refinement:
    """Write the report of one query."""
    return Refinement(
        steps=int(refined.steps_Q[place]),
        residual=float(refined.residual_Q[place]),
        sample=refined.sample,
        damping=refined.damping,
    )


def _attempt(query: PreparedQuery, step: Callable[[PreparedQuery], None]) -> None:
    """Take a step for one question, unless it failed before. Its error stays with it."""
    if query.error is not None:
        return
    try:
        step(query)
    except BylineError as error:
        query.error = error


def _check_size(query: PreparedQuery) -> None:
    feature_K = query.feature
    if feature_K is None:
        return
    if not torch.isfinite(feature_K).all():
        raise NonFiniteGradient(
            "the query's feature is NaN or infinite: look at the query and the checkpoint"
        )
    if feature_K.numel() and feature_K.abs().max() > LARGEST_NUMBER:
        raise InvalidQuery(
            f"expected a gradient whose feature stays below {LARGEST_NUMBER:.0e}, got a larger one"
        )
