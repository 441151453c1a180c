"""A question has six shapes between HTTP and its answer.

1. `AttributionBody`: the JSON. A body of tensors has `GradientOptions` in its place, a question for shares `SharesBody`.
2. `ParsedRequest`: the questions of one HTTP request, and how its answer is written.
3. `AttributionRequest`: one question, as Python asks it too.
4. `CheckedRequest`: the question, held against one index.
5. `PreparedQuery`: the question with its feature.
6. `SearchResult`: the rows that were found. `AnswerWriter` makes the `Answer` of it.

`Job` is a place in the compute thread's queue: it holds a `CheckedRequest`, and adds a deadline and a future.
"""

import importlib
import inspect
import json
import pkgutil
from types import ModuleType

import byline.api
import byline.attribution
import byline_service.attributions
from byline.api.answer import Answer
from byline.api.attributions import AttributionBody, QueryBody, SharesBody
from byline.api.compensation import EventBody
from byline.attribution.answer_stages import AnswerStages
from byline.attribution.queries import CheckedRequest, PreparedQuery
from byline.attribution.request import AttributionRequest
from byline.attribution.retrieval import SearchResult
from byline_service.attributions.compute import Job
from byline_service.attributions.requests import ParsedRequest, attribution_requests
from byline_service.settings import Settings
from tests.service.fakes import fake_attributor

SHAPES = [AttributionBody, ParsedRequest, AttributionRequest, CheckedRequest, PreparedQuery, SearchResult]
FORMS = {"query", "query_set", "feature", "gradient", "payloads"}
"""Fields that hold a query."""
HOLDS = {"AttributionRequest", "CheckedRequest", "PreparedQuery"}


def classes(package: ModuleType) -> set[type]:
    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}")
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return {
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__
    }


def states_a_question(kind: type) -> bool:
    fields = inspect.get_annotations(kind)
    words = {word for each in fields.values() for word in HOLDS if word in str(each)}
    forms = {name for name in FORMS & set(fields) if fields[name] is not float}  # `Timings` has a `gradient`
    return bool(words or forms)


def test_six_shapes_and_no_more() -> None:
    every = classes(byline.api) | classes(byline.attribution) | classes(byline_service.attributions)
    stating = {each for each in every if states_a_question(each)}
    bodies = {QueryBody, SharesBody, EventBody}  # what `AttributionBody` shares with other endpoints
    assert stating - bodies - {Job} == set(SHAPES) - {AttributionBody, SearchResult}
    assert len(SHAPES) <= 6


def test_a_question_takes_them_in_order() -> None:
    attributor, _ = fake_attributor()
    body = json.dumps({"query": {"text": "a"}, "k": 2}).encode()
    parsed = attribution_requests(Settings(), body)
    assert isinstance(parsed, ParsedRequest)
    (request,) = parsed.requests
    assert isinstance(request, AttributionRequest)
    checked = attributor.check(request)
    assert isinstance(checked, CheckedRequest)
    assert checked.request is request
    assert Job(attributor=attributor, question=checked, deadline=0.0).question is checked
    (answer,) = attributor.answer([checked])
    assert isinstance(answer, Answer)
    assert len(answer.proponents or ()) == 2
    drilled = inspect.signature(AnswerStages._drilled)
    assert PreparedQuery in {each.annotation for each in drilled.parameters.values()}
    assert drilled.return_annotation is SearchResult
