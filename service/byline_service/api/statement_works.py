"""The works behind a statement's line: an owner's events of a run, and the training points of each."""

import asyncio
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Request

from byline.api.page import Page
from byline.api.works import LineEvent, LineWork
from byline.attribution.attributor import Attributor
from byline.attribution.shown_images import image_path
from byline.errors import NotFound
from byline_service.accounts.exports import mark_export
from byline_service.accounts.scopes import Caller
from byline_service.api.statements import Reading
from byline_service.compensation.allocation import PARTS, parts_under
from byline_service.compensation.event import Event
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.statements import AllocationStatement
from byline_service.compensation.works import rest_of
from byline_service.database import Connection
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import line_queries, statement_queries
from byline_service.ledger.statement_documents import read_statement
from byline_service.state import AppState

router = APIRouter(prefix="/v1/statements", tags=["Compensation"])
OwnerName = Annotated[str, Path(max_length=1000, description="Owner of the line. The name may hold slashes")]


@router.get(
    "/{run}/owners/{owner:path}", operation_id="list_line_events", responses=problem_responses(404, 422)
)
async def list_line_events(
    request: Request, caller: Reading, run: str, owner: OwnerName, after: After = None, limit: Limit = 100
) -> Page[LineEvent]:
    """List the events behind an owner's line of a run, each with the owner's strongest works.

    A release and a reversal have no events of their own. A key with owners sees its own owners' lines of posted runs.
    """
    mark_export(request)
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (-1,)
    async with service.database.read() as reading:
        await _require_line(reading, caller, run, owner)
        _, found = await statement_queries.find(reading, run)
        statement = found.statement
        if not isinstance(statement, AllocationStatement):
            return Page[LineEvent].of([])
        events = await line_queries.events_of_owner(reading, statement, owner, last + 1, limit + 1)
        weight = await line_queries.total_weight(reading, statement)
    shown, following = cut(events, limit, lambda each: (each[0],))
    describe = partial(_described, service.attributors, statement, owner, weight)
    written = await asyncio.to_thread(lambda: [describe(event) for _, event in shown])
    return Page[LineEvent].of(written, following)


async def _require_line(reading: Connection, caller: Caller, run: str, owner: str) -> None:
    """Refuse other owners' lines, and runs without a line of this owner."""
    statement = await read_statement(reading, caller, run, owner)
    if not statement.lines:
        raise NotFound("expected an owner with a line in this run, got another name")


def _described(
    served: Mapping[str, Attributor],
    statement: AllocationStatement,
    owner: str,
    weight: int,
    event: Event,
) -> LineEvent:
    by_version = {(roster.index, roster.version): roster for roster in statement.rosters}
    parts = parts_under(statement.policy, event, by_version)
    own = parts.get(("paid", owner), 0) + parts.get(("escrow", owner), 0)
    exact = exact_shares(event).get(owner)
    return LineEvent(
        event=event.id,
        index=event.index,
        version=event.version,
        booked_at=event.booked_at,
        weight=event.weight,
        share=float(exact.share) if exact else 0.0,
        amount=int(Fraction(statement.allocation.pool * event.weight * own, PARTS * weight)),
        score=sum(event.scores[owner]),
        scale=event.scale,
        works=_works(served.get(event.index), owner, event.works.get(owner, ())),
        rest=rest_of(event, owner),
    )


def _works(attributor: Attributor | None, owner: str, works: Sequence[tuple[str, int]]) -> list[LineWork]:
    return [LineWork(example=work, score=n, **_metadata(attributor, owner, work)) for work, n in works]


def _metadata(attributor: Attributor | None, owner: str, example_id: str) -> dict[str, str | None]:
    """Read what the served version tells of a work. Nothing if it is another owner's by now."""
    if attributor is None:
        return {}
    examples = attributor.index.examples
    try:
        row = examples.row_of(example_id)
    except NotFound:
        return {}
    example = examples.by_rows(np.array([row]))[0]
    if example.owner != owner:
        return {}
    return {
        "label": example.label,
        "preview": example.preview,
        "license": example.license,
        "uri": example.uri,
        "image": image_path(attributor.name, example_id) if examples.with_images([row]) else None,
    }
