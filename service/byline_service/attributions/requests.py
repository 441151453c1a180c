"""From parsed bodies to the requests that an `Attributor` answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from byline.api.answer import Answer
from byline.api.attributions import (
    LISTED_OWNERS,
    Answers,
    AttributionBody,
    Options,
    OwnersLimit,
    QueryBody,
    SharesBody,
    Words,
)
from byline.api.filters import Filter
from byline.api.query import Direction
from byline.attribution.attributor import shares_answer
from byline.attribution.payloads import validated
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery
from byline_service.http.bodies import parse_json, parse_tensors
from byline_service.settings import Settings

_EVENT: dict[str, Any] = {"k": 1, "shares": True, "members": True}


@dataclass(frozen=True, kw_only=True)
class ParsedRequest:
    """What one HTTP request asks for, and how it wants its answers."""

    requests: Sequence[AttributionRequest]
    """One, or one for each query of a batch."""
    examples: bool = True
    """False where only the owners' shares are wanted."""
    document: Callable[[list[Answer]], BaseModel] = lambda answers: answers[0]
    """Makes the HTTP answer of the answers to `requests`."""

    @property
    def entries(self) -> int:
        """Most training points and owners that the answer can list."""
        return sum(request.entries for request in self.requests)


_FILTERED = {"id", "owner", "license", "label"}


class GradientOptions(BaseModel):
    """Options of a gradient body, as query parameters."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    k: Annotated[int, Field(ge=1)] = 10
    """How many examples at each end."""
    direction: Direction = "proponents"
    """Which end is wanted."""
    members: bool = False
    """Break each score down by member of the ensemble, the owners' too."""
    shares: bool = False
    """Add each owner's share, over all rows."""
    drill_down: bool = False
    """On an index of groups: score the top groups' points one by one, and return points."""
    drill_groups: Annotated[int, Field(ge=1)] = 10
    """How many groups a drill-down goes into, at each end."""
    owners_limit: OwnersLimit = LISTED_OWNERS
    """How many owners the shares list, largest score first; `others` sums up the rest."""
    id: Words | None = None
    """Any of these ids: with `drill_down`, the groups to go into."""
    owner: Words | None = None
    """Any of these owners; repeat it for several."""
    license: Words | None = None
    """Any of these licenses."""
    label: Words | None = None
    """Any of these labels."""

    def options(self) -> Options:
        """The same, as a JSON body has them."""
        chosen = self.model_dump(include=_FILTERED, exclude_none=True)
        rest = self.model_dump(exclude=_FILTERED)
        return Options(**rest, filter=Filter(**chosen) if chosen else None)


def gradient_request(settings: Settings, options: GradientOptions, body: bytes) -> ParsedRequest:
    """The question of a safetensors body.

    Raises:
        InvalidQuery: The body holds no safetensors, or the options exceed a limit.
    """
    asked = options.options()
    _check_k(settings, max(asked.k, asked.drill_groups))
    requested = ParsedRequest(requests=[AttributionRequest(gradient=parse_tensors(body), **_options(asked))])
    return _checked(settings, requested)


def attribution_requests(settings: Settings, body: bytes) -> ParsedRequest:
    """The questions of a JSON body: one, or one for each of `queries`.

    Raises:
        InvalidQuery: The body does not fit, or exceeds a limit.
    """
    parsed = validated(AttributionBody, parse_json(body), "body")
    _check_k(settings, max(parsed.k, parsed.drill_groups))
    if parsed.queries is None:
        return _checked(settings, ParsedRequest(requests=[_request(settings, parsed, parsed)]))
    if parsed.query is not None or parsed.query_set is not None or parsed.feature is not None:
        raise InvalidQuery("expected one of query, queries, query_set and feature, got several")
    _check_count(settings, len(parsed.queries))
    asked = [QueryBody(query=query, target=parsed.target) for query in parsed.queries]
    requested = ParsedRequest(
        requests=[_request(settings, each, parsed) for each in asked],
        document=lambda answers: Answers(answers=answers),
    )
    return _checked(settings, requested)


def shares_request(settings: Settings, body: bytes) -> ParsedRequest:
    """The question of a shares body.

    Raises:
        InvalidQuery: The body does not fit, or exceeds a limit.
    """
    parsed = validated(SharesBody, parse_json(body), "body")
    options = Options(k=1, shares=True, owners_limit=parsed.owners_limit)
    requested = ParsedRequest(
        requests=[_request(settings, parsed, options)],
        examples=False,
        document=lambda answers: shares_answer(answers[0]),
    )
    return _checked(settings, requested)


def event_request(settings: Settings, asked: QueryBody) -> ParsedRequest:
    """The question of an event: every owner's score, by member.

    Args:
        settings: Limits.
        asked: A parsed body.

    Raises:
        InvalidQuery: It exceeds a limit.
    """
    _check_count(settings, len(asked.query_set or ()))
    request = AttributionRequest(
        query=asked.query, query_set=asked.query_set, feature=asked.feature, target=asked.target, **_EVENT
    )
    return ParsedRequest(requests=[request], examples=False)


def gradient_event_request(body: bytes) -> ParsedRequest:
    """The question of an event whose body is safetensors.

    Raises:
        InvalidQuery: The body holds no safetensors.
    """
    return ParsedRequest(
        requests=[AttributionRequest(gradient=parse_tensors(body), **_EVENT)], examples=False
    )


def _request(settings: Settings, asked: QueryBody, options: Options) -> AttributionRequest:
    _check_count(settings, len(asked.query_set or ()))
    return AttributionRequest(
        query=asked.query,
        query_set=asked.query_set,
        feature=asked.feature,
        target=asked.target,
        **_options(options),
    )


def _options(options: Options) -> dict[str, Any]:
    plain = options.model_dump(exclude={"filter", "queries", *QueryBody.model_fields})
    return {**plain, "filter": options.filter}


def _check_k(settings: Settings, k: int) -> None:
    if k > settings.max_k:
        raise InvalidQuery(f"expected k and drill_groups to be at most {settings.max_k}, got a larger number")


def _check_count(settings: Settings, count: int) -> None:
    if count > settings.max_queries:
        raise InvalidQuery(f"expected at most {settings.max_queries} queries at once, got {count}")


def _checked(settings: Settings, requested: ParsedRequest) -> ParsedRequest:
    """Hold that the answer stays within what one request may list."""
    if requested.entries > settings.max_entries:
        raise InvalidQuery(
            f"expected at most {settings.max_entries} entries in one answer (BYLINE_MAX_ENTRIES: queries x "
            f"(k x ends + owners_limit with shares)), got {requested.entries}: ask for less at a time"
        )
    return requested
