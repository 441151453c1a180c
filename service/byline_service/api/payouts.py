"""Payouts: payable amounts go to the bank. A payout is a statement run, with its approval, posting, rejection and void."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.payouts import ConfirmationBody, PayoutBody, PayoutDocument
from byline_service.accounts.exports import mark_export
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.credit_transfer import credit_transfer, payer_of
from byline_service.compensation.payouts import WantedPayout
from byline_service.database import Connection
from byline_service.http.bodies import json_body, request_body
from byline_service.http.csv_cells import csv_form
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses, text_response
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, no_preparation, run_once
from byline_service.ledger import payout_workflow, statement_queries
from byline_service.ledger.payout_documents import payout_csv, read_payout, read_posted
from byline_service.state import AppState

router = APIRouter(prefix="/v1/payouts", tags=["Compensation"])
Compensating = Annotated[Caller, requires(Scope.COMPENSATE)]
Approving = Annotated[Caller, requires(Scope.APPROVE)]
CSV = "text/csv"
XML = "application/xml"
FAILURES = problem_responses(404, 409, 413, 415, 422, 504, 507)


@router.post(
    "",
    operation_id="prepare_payout",
    status_code=201,
    response_model=PayoutDocument,
    responses=FAILURES,
    openapi_extra=request_body(PayoutBody) | IDEMPOTENCY_PARAMETER,
)
async def prepare(request: Request, caller: Compensating) -> Response:
    """Prepare a payout of what is payable under a policy.

    Another person approves and posts it: `POST /v1/statement-runs/{run}/approve` and `/post`.
    """
    parsed, body = await json_body(request, PayoutBody)
    wanted = WantedPayout(amounts=parsed.amounts, payees=parsed.payees)

    async def write(transaction: Connection, prepared: None) -> tuple[int, BaseModel]:
        del prepared
        row = await payout_workflow.prepare(transaction, caller, parsed.policy, wanted)
        return 201, await read_payout(transaction, row.id)

    return await run_once(request, caller, body, no_preparation, write)


@router.post(
    "/{run}/confirm",
    operation_id="confirm_payout",
    response_model=PayoutDocument,
    responses=FAILURES,
    openapi_extra=request_body(ConfirmationBody) | IDEMPOTENCY_PARAMETER,
)
async def confirm(request: Request, run: str, caller: Approving) -> Response:
    """Book a posted payout as paid, by the bank's statement. Who prepared it cannot."""
    parsed, body = await json_body(request, ConfirmationBody)

    async def write(transaction: Connection, prepared: None) -> tuple[int, BaseModel]:
        del prepared
        row = await payout_workflow.confirm(transaction, caller, run, parsed)
        return 200, await read_payout(transaction, row.id)

    return await run_once(request, caller, body, no_preparation, write)


@router.get(
    "",
    operation_id="list_payouts",
    responses=problem_responses(422),
    dependencies=[requires(Scope.READ)],
)
async def list_payouts(
    request: Request,
    after: After = None,
    limit: Limit = 100,
) -> Page[PayoutDocument]:
    """List the payouts, the newest first."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with service.database.read() as reading:
        rows = await statement_queries.page(reading, last, limit + 1, kind="payout")
        shown, following = cut(rows, limit, lambda row: (row.sequence,))
        found = [await read_payout(reading, row.id) for row in shown]
    return Page[PayoutDocument].of(found, following)


@router.get(
    "/{run}.csv",
    operation_id="get_payout_csv",
    response_class=Response,
    responses=text_response(CSV, "The lines") | problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_csv(request: Request, run: str) -> Response:
    """Read a payout's lines for a spreadsheet, in major units. `Accept-Language` chooses the decimal sign."""
    found = await get_payout(request, run)
    form = csv_form(request.headers.get("accept-language"))
    return Response(payout_csv(found, form), media_type=CSV, headers=_named(f"payout-{found.id}.csv"))


@router.get(
    "/{run}.xml",
    operation_id="get_payout_transfer",
    response_class=Response,
    responses=text_response(XML, "The credit transfer") | problem_responses(404, 409, 422),
)
async def get_transfer(request: Request, run: str, caller: Approving) -> Response:
    """Read a posted payout in EUR as a credit transfer for the bank (ISO 20022, pain.001.001.03)."""
    del caller
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        posted = await read_posted(reading, run)
    kept = service.settings
    payer = payer_of(kept.payer_name, kept.payer_iban, kept.payer_bic)
    written = await asyncio.to_thread(credit_transfer, posted, payer)
    return Response(written, media_type=XML, headers=_named(f"payout-{posted.id}.xml"))


def _named(name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "Vary": "Accept-Language",
    }


@router.get(
    "/{run}",
    operation_id="get_payout",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_payout(request: Request, run: str) -> PayoutDocument:
    """Read a payout: its lines, receivables that were netted, and the bank's confirmation."""
    mark_export(request)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        return await read_payout(reading, run)
