"""Statement runs: drafted, approved by another person, posted; or rejected or void.

Each step happens once for each `Idempotency-Key`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.statements import (
    AdjustmentBody,
    AllocationBody,
    RejectionBody,
    ReleaseBody,
    ReversalBody,
    RunBody,
    RunDocument,
)
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.drafting import Release
from byline_service.compensation.statements import AllocationStatement
from byline_service.database import Connection
from byline_service.http.bodies import json_body, read_body, request_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, no_preparation, run_once
from byline_service.ledger import run_workflow, statement_queries
from byline_service.ledger.hand_queries import hands_of
from byline_service.ledger.statement_documents import run_document
from byline_service.ledger.statement_queries import RunRow
from byline_service.state import AppState

router = APIRouter(prefix="/v1/statement-runs", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]
Approving = Annotated[Caller, requires(Scope.APPROVE)]
STEP_FAILURES = problem_responses(404, 409, 413, 422, 504, 507)
Step = Callable[[Connection, Caller, str], Awaitable[RunRow]]


@router.post(
    "",
    operation_id="draft_run",
    status_code=201,
    response_model=RunDocument,
    responses=problem_responses(404, 409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(RunBody) | IDEMPOTENCY_PARAMETER,
)
async def draft(request: Request, caller: Compensating) -> Response:
    """Draft a run.

    `allocation` divides the pool of a finished period, and `adjustment` the rest of its budget over late events.
    `release` pays escrow or held amounts out, and `reversal` takes a posted run back. A policy has at most five open runs.
    """
    service: AppState = request.app.state.service
    parsed, body = await json_body(request, RunBody)
    wanted = parsed.draft

    async def prepare() -> AllocationStatement | None:
        if not isinstance(wanted, AllocationBody | AdjustmentBody):
            return None
        return await run_workflow.prepare_division(
            service.database, wanted.kind, wanted.policy, wanted.period
        )

    async def write(transaction: Connection, statement: AllocationStatement | None) -> tuple[int, BaseModel]:
        if statement is not None:
            row = await run_workflow.draft(transaction, caller, statement)
        elif isinstance(wanted, ReleaseBody):
            release = Release(account=wanted.account, reason=wanted.reason, amounts=wanted.amounts)
            row = await run_workflow.release(transaction, caller, wanted.policy, release)
        else:
            assert isinstance(wanted, ReversalBody)
            row = await run_workflow.reverse(transaction, caller, wanted.run, wanted.reason)
        return 201, run_document(row, await hands_of(transaction, row))

    return located(await run_once(request, caller, body, prepare, write), "/v1/statement-runs", "id")


@router.post(
    "/{run}/approve",
    operation_id="approve_run",
    response_model=RunDocument,
    responses=STEP_FAILURES,
    openapi_extra=IDEMPOTENCY_PARAMETER,
)
async def approve(request: Request, run: str, caller: Approving) -> Response:
    """Approve a draft. The drafter cannot, nor can a key that one person could hold beside the drafter's."""
    return await _step(request, caller, run, run_workflow.approve)


@router.post(
    "/{run}/reject",
    operation_id="reject_run",
    response_model=RunDocument,
    responses=problem_responses(404, 409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(RejectionBody) | IDEMPOTENCY_PARAMETER,
)
async def reject(request: Request, run: str, caller: Approving) -> Response:
    """Reject a run that is not posted, with a comment. It stays rejected: another draft can pay for its events."""
    parsed, body = await json_body(request, RejectionBody)
    return await _step(request, caller, run, partial(run_workflow.reject, comment=parsed.comment), body)


@router.post(
    "/{run}/post",
    operation_id="post_run",
    response_model=RunDocument,
    responses=STEP_FAILURES,
    openapi_extra=IDEMPOTENCY_PARAMETER,
)
async def post(request: Request, run: str, caller: Approving) -> Response:
    """Post an approved run: its entries go into the ledger."""
    return await _step(request, caller, run, run_workflow.post)


@router.post(
    "/{run}/void",
    operation_id="void_run",
    response_model=RunDocument,
    responses=STEP_FAILURES,
    openapi_extra=IDEMPOTENCY_PARAMETER,
)
async def void(request: Request, run: str, caller: Compensating) -> Response:
    """Void a run that is not posted. A `reversal` takes a posted run back."""
    return await _step(request, caller, run, run_workflow.void)


@router.get(
    "", operation_id="list_runs", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_runs(
    request: Request,
    after: After = None,
    limit: Limit = 100,
    policy: Annotated[str | None, Query(max_length=64)] = None,
    *,
    waiting: Annotated[
        bool, Query(description="Only runs that wait for an approval or for the posting")
    ] = False,
) -> Page[RunDocument]:
    """List the runs, the newest first."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        found = await statement_queries.page(reading, last, limit + 1, policy, waiting=waiting)
    return run_page(found, limit)


@router.get(
    "/{run}",
    operation_id="get_run",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_run(request: Request, run: str) -> RunDocument:
    """Read the state of a run. `/v1/statements/{run}` has its lines."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        row, _ = await statement_queries.find(reading, run)
        return run_document(row, await hands_of(reading, row))


def run_page(found: list[RunRow], limit: int, *, warned: bool = True) -> Page[RunDocument]:
    """Return a page of runs, with their warnings if the reader sees all owners."""
    shown, following = cut(found, limit, lambda row: (row.sequence,))
    return Page[RunDocument].of([run_document(row, warned=warned) for row in shown], following)


async def _step(
    request: Request, caller: Caller, run: str, step: Step, body: bytes | None = None
) -> Response:
    service: AppState = request.app.state.service
    sent = await read_body(request, service.settings.deadline_seconds) if body is None else body

    async def write(transaction: Connection, prepared: None) -> tuple[int, BaseModel]:
        del prepared
        row = await step(transaction, caller, run)
        return 200, run_document(row, await hands_of(transaction, row))

    return await run_once(request, caller, sent, no_preparation, write)
