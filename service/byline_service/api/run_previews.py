"""Previews of drafts: a division as the journal has it now, without a record of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from byline.api.accounts import Scope
from byline.api.run_previews import RunPreview
from byline_service.accounts.permissions import requires
from byline_service.compensation.budgets import Division
from byline_service.compensation.money import minor_digits
from byline_service.compensation.run_warnings import in_words
from byline_service.http.problems import problem_responses
from byline_service.ledger import run_workflow
from byline_service.ledger.statement_documents import statement_totals
from byline_service.state import AppState

router = APIRouter(prefix="/v1/statement-runs", tags=["Compensation"])


@router.get(
    "/preview",
    operation_id="preview_run",
    responses=problem_responses(404, 409, 422),
    dependencies=[requires(Scope.COMPENSATE)],
)
async def preview_run(
    request: Request,
    policy: Annotated[str, Query(max_length=64, description="Name of a policy")],
    period: Annotated[
        str | None,
        Query(max_length=10, description="Name of a finished period. The last finished one by default"),
    ] = None,
    kind: Annotated[Division, Query(description="`allocation` or `adjustment`")] = "allocation",
) -> RunPreview:
    """Compute a draft without storing it: the number of unpaid events, the amounts and the warnings."""
    service: AppState = request.app.state.service
    found = await run_workflow.prepare_division(service.database, kind, policy, period)
    return RunPreview(
        kind=found.kind,
        policy=found.policy.name,
        revision=found.policy.revision,
        currency=found.policy.currency,
        minor_digits=minor_digits(found.policy.currency),
        period=found.period,
        since=found.since,
        until=found.until,
        events=len(found.events),
        late=found.late,
        refused=len(found.refused),
        owners=len(found.allocation.lines),
        totals=statement_totals(found),
        warnings=[in_words(each, found.policy.currency) for each in found.warnings],
    )
