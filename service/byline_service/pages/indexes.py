"""The index pages: training set, owners, versions, recipe and quality card."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.attributions import IndexInfo, OwnerInfo, SelfInfluenceRow
from byline.api.page import Page
from byline.api.quality_card import BASELINE_TITLES, Measurement, figure
from byline.errors import DatabaseUnavailable, InvalidQuery
from byline_service.accounts.permissions import requires
from byline_service.api import indexes as api
from byline_service.api import versions
from byline_service.http.pagination import After
from byline_service.pages.charts import Entry, Gauge, bars, gauge, stacked_bar
from byline_service.pages.csv import Row, csv_response, csv_stream
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(
    prefix="/indexes",
    include_in_schema=False,
    route_class=PageRoute,
    dependencies=[requires(Scope.READ)],
)
T = TypeVar("T")
DRAWN_OWNERS = 12
SHOWN_ALONE = 8
LISTED = 1000
"""Most rows of a list, and rows of a file that are read at a time."""
From = Annotated[int, Query(ge=1, le=10**9, alias="from")]


@router.get("")
def indexes_page(request: Request) -> Response:
    """Show the list of indexes."""
    found = [
        api.get_index(request, each.name)
        for each in _every(lambda after: api.list_indexes(request, after, LISTED))
    ]
    return page(request, "indexes.html", here="indexes", indexes=found)


@router.get("/{name}")
async def index_page(request: Request, name: str, after: After = None, alone_from: From = 1) -> Response:
    """Show one index."""
    described = await asyncio.to_thread(_described, request, name, after, alone_from)
    return page(
        request, "index.html", here="indexes", **described, **await _versions(request, described["index"])
    )


def _described(request: Request, name: str, after: str | None, alone_from: int) -> dict[str, Any]:
    """Return what the index itself says."""
    index = api.get_index(request, name)
    owners, coverage = _owners(request, index), api.get_coverage(request, name)
    alone = _self_influence(request, name, after, SHOWN_ALONE)
    path = f"/indexes/{name}"
    further = alone_from + len(alone.data)
    return {
        "here_path": path,
        "index": index,
        "recipe": json.dumps(index.model_dump(mode="json")["recipe_document"], indent=2),
        "unit_plural": "groups" if index.unit == "group" else "training points",
        "judged": [summarize(each) for each in index.quality_card.measurements] if index.quality_card else [],
        "owners": owners,
        "drawn": bars([Entry(each.owner, each.examples) for each in owners[:DRAWN_OWNERS]]),
        "coverage": coverage,
        "licenses": stacked_bar(
            [(each.license or "none stated", each.examples) for each in coverage.licenses]
        ),
        "alone": alone.data,
        "alone_bars": bars([Entry(each.example.id, each.self_influence) for each in alone.data]),
        "alone_from": alone_from,
        "alone_first": f"{path}#self" if after else None,
        "alone_next": f"{path}?after={alone.next}&from={further}#self" if alone.next else None,
    }


async def _versions(request: Request, index: IndexInfo) -> dict[str, Any]:
    """Return what the database says of an index. The page works without it while the database is unavailable."""
    try:
        listed = await versions.list_versions(request, index.name, None, LISTED)
        named = await versions.list_aliases(request, None, LISTED)
    except DatabaseUnavailable:
        return {"versions": None, "aliases": []}
    own = [each for each in named.data if each.index == index.index]
    return {"versions": listed.data, "aliases": own}


@router.get("/{name}/owners.csv")
def owners_csv(request: Request, name: str) -> Response:
    """Export all owners of an index."""
    rows = [
        (each.owner, each.examples, "; ".join(each.licenses))
        for each in _owners(request, api.get_index(request, name))
    ]
    return csv_response(request, f"{name}-owners", ("owner", "examples", "licenses"), rows)


@router.get("/{name}/licenses.csv")
def licenses_csv(request: Request, name: str) -> Response:
    """Export all licenses of an index."""
    rows = [(each.license, each.examples) for each in api.get_coverage(request, name).licenses]
    return csv_response(request, f"{name}-licenses", ("license", "examples"), rows)


@router.get("/{name}/quality.csv")
def quality_csv(request: Request, name: str) -> Response:
    """Export the quality card of an index."""
    card = api.get_index(request, name).quality_card
    rows = [
        (
            m.metric,
            m.title,
            m.value,
            *(m.interval or (None, None)),
            m.ceiling,
            m.sample,
            m.protocol.target,
            m.measured,
            m.baseline_text,
        )
        for m in (card.measurements if card else ())
    ]
    head = ("metric", "title", "value", "low", "high", "ceiling", "sample", "target", "measured", "baselines")
    return csv_response(request, f"{name}-quality", head, rows)


@router.get("/{name}/self-influence.csv")
async def self_influence_csv(request: Request, name: str) -> Response:
    """Export all points, the largest self-influence first."""

    async def pages() -> AsyncIterator[list[Row]]:
        after: str | None = ""
        while after is not None:
            part = await asyncio.to_thread(_self_influence, request, name, after or None, LISTED)
            yield [
                (each.row, each.example.id, each.example.owner, each.example.label, each.self_influence)
                for each in part.data
            ]
            after = part.next

    head = ("row", "id", "owner", "label", "self_influence")
    return await csv_stream(request, f"{name}-self-influence", head, pages())


def _owners(request: Request, index: IndexInfo) -> Sequence[OwnerInfo]:
    """Return all owners, the largest first."""
    found = _every(lambda after: api.list_owners(request, index.name, after, LISTED))
    return sorted(found, key=lambda each: (-each.examples, each.owner))


def _every(page: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Read a whole list.

    Yields:
        Each entry.
    """
    after = None
    while True:
        part = page(after)
        yield from part.data
        if (after := part.next) is None:
            return


def _self_influence(request: Request, name: str, after: str | None, limit: int) -> Page[SelfInfluenceRow]:
    """Return a page of self-influences. An empty one if the recipe has none."""
    try:
        return api.list_self_influence(request, name, after, limit)
    except InvalidQuery:
        if after is not None:
            raise
        return Page[SelfInfluenceRow].of([])


_MEANINGS: Mapping[str, str] = {
    "lds": (
        "Models were retrained on random parts of the training set. The figure says how well summed scores rank what those "
        "models predict: 0 is chance, 1 is perfect."
    ),
    "loo": (
        "Models were retrained without single rows. The figure says how well scores rank the effect of each row: 0 is "
        "chance, 1 is perfect."
    ),
    "owner": (
        "Models were retrained without all points of single owners. The figure says how well the owners' summed scores, "
        "which shares are made of, rank the effect of each owner: 0 is chance, 1 is perfect."
    ),
    "mislabel": (
        "Labels were made wrong on purpose. The figure says how often self-influence ranks a wrong label above a right one: "
        ".50 is chance, 1 is perfect."
    ),
}


@dataclass(frozen=True)
class MeasurementSummary:
    """A measurement in words, for the page."""

    measurement: Measurement
    meaning: str
    """Method of the measurement, and the meaning of its figure."""
    verdict: str
    """Conclusion for this index."""
    picture: Gauge


def summarize(measurement: Measurement) -> MeasurementSummary:
    """Describe a measurement in words."""
    return MeasurementSummary(
        measurement=measurement,
        meaning=_MEANINGS.get(measurement.metric, measurement.statistic),
        verdict=_verdict(measurement),
        picture=gauge(measurement.value, measurement.interval, measurement.ceiling),
    )


def _verdict(measurement: Measurement) -> str:
    sentences = []
    chance = 0.5 if measurement.metric == "mislabel" else 0.0
    if measurement.interval is not None:
        low, high = measurement.interval
        if low > chance:
            sentences.append(
                f"Better than chance: 95 % of resamples lie from {figure(low)} to {figure(high)}."
            )
        else:
            sentences.append(
                f"Not shown to be better than chance: the interval from {figure(low)} to {figure(high)} includes "
                f"{figure(chance)}."
            )
    if measurement.ceiling is not None:
        sentences.append(
            f"Perfect scores would reach {figure(measurement.ceiling)}, since training itself is random."
        )
    sentences += [_against(measurement, name) for name in measurement.baselines]
    return " ".join(sentences)


def _against(measurement: Measurement, name: str) -> str:
    """Compare with a baseline on the same truth in a sentence."""
    baseline, title = measurement.baselines[name], BASELINE_TITLES.get(name, name)
    better = "Better" if baseline.exceeded else "Not better"
    return f"{better} than {title} here, which reaches {figure(baseline.value)} without gradients."
