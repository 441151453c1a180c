"""Attribution requests from parsed HTTP bodies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from byline.api.answer import Answer
from byline.api.attributions import Answers, AttributionBody, QueryBody, SharesBody
from byline.api.documents import Words
from byline.api.query import AttributionOptions, Filter, RankingOptions
from byline.api.terms import Asked
from byline.api.validation import validated
from byline.attribution.answer_writer import shares_answer
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery
from byline_service.compensation.works import TOP_WORKS
from byline_service.http.bodies import parse_json, parse_tensors
from byline_service.settings import Settings

_EVENT: dict[str, Any] = {
    "k": 1,
    "shares": True,
    "members": True,
    "examples": False,
    "every_owner": True,
    "works": TOP_WORKS,
}


@dataclass(frozen=True, kw_only=True)
class ParsedRequest:
    """One HTTP request: its attribution requests and the form of its answer."""

    requests: Sequence[AttributionRequest]
    """One attribution request, or one per query of a batch."""
    document: Callable[[list[Answer]], BaseModel] = lambda answers: answers[0]
    """Makes the HTTP answer from the answers to `requests`."""
    several: bool = False
    """Whether the body has a list of queries, each of them an attribution request."""

    @property
    def entries(self) -> int:
        """Return the most training points and owners that the answer can list."""
        return sum(request.entries for request in self.requests)


_FILTERED = {"id", "owner", "license", "label"}


class GradientOptions(RankingOptions):
    """The options of a gradient body, as query parameters."""

    model_config = ConfigDict(strict=False)  # a parameter is text

    id: Words | None = None
    """Ids to return. With `drill_down`, the ids of the groups to score."""
    owner: Words | None = None
    """Owners whose training points may be returned. Repeat the parameter for several."""
    license: Words | None = None
    """Licenses whose training points may be returned."""
    label: Words | None = None
    """Labels whose training points may be returned."""

    def filter(self) -> Filter | None:
        """Collect the parameters that restrict the search."""
        chosen = self.model_dump(include=_FILTERED, exclude_none=True)
        return Filter(**chosen) if chosen else None


def gradient_request(settings: Settings, options: GradientOptions, body: bytes) -> ParsedRequest:
    """Parse a safetensors body.

    Raises:
        InvalidQuery: The body is not safetensors, or the options exceed a limit.
    """
    _check_k(settings, options)
    request = AttributionRequest(
        gradient=parse_tensors(body), filter=options.filter(), **_fields(options, RankingOptions)
    )
    return _checked(settings, ParsedRequest(requests=[request]))


def attribution_requests(settings: Settings, body: bytes) -> ParsedRequest:
    """Parse a JSON body: one attribution request, or one per entry of `queries`.

    Raises:
        InvalidQuery: The body is not valid, or exceeds a limit.
    """
    return requests_of(settings, validated(AttributionBody, parse_json(body), "body"))


def requests_of(settings: Settings, parsed: AttributionBody) -> ParsedRequest:
    """Make the attribution requests of a parsed body.

    Args:
        settings: The limits.
        parsed: The parsed body.

    Raises:
        InvalidQuery: The body exceeds a limit, or holds several forms of a question.
    """
    _check_k(settings, parsed)
    options = _fields(parsed, AttributionOptions)
    receipt = parsed.shares and parsed.members and not (parsed.replicates or parsed.drill_down)
    options["works"] = TOP_WORKS if receipt else 0
    if parsed.queries is None:
        _check_count(settings, len(parsed.query_set or ()))
        asked = AttributionRequest(**(_fields(parsed, QueryBody) | options))
        return _checked(settings, ParsedRequest(requests=[asked]))
    if parsed.query is not None or parsed.query_set is not None or parsed.feature is not None:
        raise InvalidQuery("expected one of query, queries, query_set and feature, got several")
    _check_count(settings, len(parsed.queries))
    parsed_request = ParsedRequest(
        requests=[AttributionRequest(query=query, **options) for query in parsed.queries],
        document=lambda answers: Answers(answers=answers),
        several=True,
    )
    return _checked(settings, parsed_request)


def shares_request(settings: Settings, body: bytes) -> ParsedRequest:
    """Parse the body of a request for shares.

    Raises:
        InvalidQuery: The body is not valid, or exceeds a limit.
    """
    parsed = validated(SharesBody, parse_json(body), "body")
    _check_count(settings, len(parsed.query_set or ()))
    request = AttributionRequest(**_fields(parsed, SharesBody), k=1, shares=True, examples=False)
    parsed_request = ParsedRequest(requests=[request], document=lambda answers: shares_answer(answers[0]))
    return _checked(settings, parsed_request)


def event_request(settings: Settings, asked: QueryBody) -> ParsedRequest:
    """Make the attribution request of an event: every owner's score, by member.

    Args:
        settings: The limits.
        asked: The parsed body.

    Raises:
        InvalidQuery: The body exceeds a limit.
    """
    _check_count(settings, len(asked.query_set or ()))
    return ParsedRequest(requests=[AttributionRequest(**_fields(asked, QueryBody), **_EVENT)])


def form_of(asked: QueryBody) -> Asked:
    """Return the form of a question. A body with several forms is refused later.

    Args:
        asked: The parsed body.
    """
    forms: tuple[Asked, ...] = ("query_set", "feature")
    return next((form for form in forms if getattr(asked, form) is not None), "query")


def gradient_event_request(body: bytes) -> ParsedRequest:
    """Make the attribution request of an event from a safetensors body.

    Raises:
        InvalidQuery: The body is not safetensors.
    """
    return ParsedRequest(requests=[AttributionRequest(gradient=parse_tensors(body), **_EVENT)])


def _fields(values: BaseModel, of: type[BaseModel]) -> dict[str, Any]:
    """Take the fields that another model declares. Nested models stay whole."""
    return {name: getattr(values, name) for name in of.model_fields}


def _check_k(settings: Settings, options: RankingOptions) -> None:
    if max(options.k, options.drill_groups) > settings.max_k:
        raise InvalidQuery(f"expected k and drill_groups of at most {settings.max_k}, got a larger number")


def _check_count(settings: Settings, count: int) -> None:
    if count > settings.max_queries:
        raise InvalidQuery(f"expected at most {settings.max_queries} queries at once, got {count}")


def _checked(settings: Settings, parsed_request: ParsedRequest) -> ParsedRequest:
    """Check that the answer stays within the limit on entries."""
    if parsed_request.entries > settings.max_entries:
        raise InvalidQuery(
            f"expected at most {settings.max_entries} entries in one answer (BYLINE_MAX_ENTRIES: queries x "
            f"(k x directions + owners_limit with shares)), got {parsed_request.entries}: ask for fewer"
        )
    return parsed_request
