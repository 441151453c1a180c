"""Policies: how pools are divided. A revision never changes. A change is another revision."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.compensation import MinimumQuality, PolicyBody, PolicyDocument
from byline.api.page import Page
from byline.errors import InvalidInput
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.compensation.money import minor_digits
from byline_service.compensation.policy import Policy
from byline_service.database import Connection
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import located
from byline_service.http.pagination import After, Limit, Number, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.idempotency import IDEMPOTENCY_PARAMETER, run_once
from byline_service.ledger import policy_queries
from byline_service.ledger.booking import revise_policy
from byline_service.state import AppState

CONFIDENCE = 0.95
"""Confidence of a policy without one."""
MILLION = 1_000_000
PINS = ("indexes", "asked", "targets", "recipes")
"""Fields of a policy whose order and repetitions do not matter."""

router = APIRouter(prefix="/v1/policies", tags=["Compensation"])
Administrator = Annotated[Caller, requires(Scope.ADMIN)]


@router.post(
    "",
    operation_id="revise_policy",
    status_code=201,
    response_model=PolicyDocument,
    responses=problem_responses(409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(PolicyBody) | IDEMPOTENCY_PARAMETER,
)
async def revise(request: Request, caller: Administrator) -> Response:
    """Create a policy, or add a revision to it, once for each `Idempotency-Key`."""
    parsed, body = await json_body(request, PolicyBody)

    async def prepare() -> Policy:
        return policy_of(parsed)

    async def write(transaction: Connection, policy: Policy) -> tuple[int, BaseModel]:
        return 201, _document(await revise_policy(transaction, caller, policy))

    return located(await run_once(request, caller, body, prepare, write), "/v1/policies", "policy", "name")


@router.get(
    "", operation_id="list_policies", responses=problem_responses(422), dependencies=[requires(Scope.READ)]
)
async def list_policies(
    request: Request,
    after: After = None,
    limit: Limit = 100,
) -> Page[PolicyDocument]:
    """List the newest revision of each policy, by name."""
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Text]) or (None,)
    async with service.database.read() as reading:
        found = await policy_queries.page(reading, last, limit + 1)
    shown, following = cut(found, limit, lambda policy: (policy.name,))
    return Page[PolicyDocument].of([_document(policy) for policy in shown], following)


@router.get(
    "/{policy}",
    operation_id="get_policy",
    responses=problem_responses(404, 422),
    dependencies=[requires(Scope.READ)],
)
async def get_policy(
    request: Request, policy: str, after: After = None, limit: Limit = 100
) -> Page[PolicyDocument]:
    """List the revisions of a policy, the oldest first."""
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await policy_queries.revisions(reading, policy)
    (last,) = place_of(after, tuple[Number]) or (0,)
    rest = [each for each in found if each.revision > last]
    shown, following = cut(rest, limit, lambda each: (each.revision,))
    return Page[PolicyDocument].of([_document(each) for each in shown], following)


def policy_of(body: PolicyBody) -> Policy:
    """Make the policy that a body describes, before it has a revision.

    Raises:
        InvalidInput: The currency is unknown, both a confidence and a multiplier came, or budget or fallback do not fit.
    """
    minor_digits(body.currency)
    _require_fallback(body)
    if body.confidence is not None and body.multiplier is not None:
        raise InvalidInput("expected a confidence or a multiplier, got both: leave one of them out")
    quality = body.minimum_quality
    return Policy(
        revision=1,
        confidence=round((body.confidence or CONFIDENCE) * 1000) if body.multiplier is None else None,
        multiplier=None if body.multiplier is None else round(body.multiplier * 10_000),
        minimum_quality=None
        if quality is None
        else MinimumQuality(metric=quality.metric, millionths=round(quality.least * MILLION), by=quality.by),
        budget=_budget(body),
        **{name: tuple(sorted(set(getattr(body, name)))) for name in PINS},
        **body.model_dump(exclude={"confidence", "multiplier", "minimum_quality", "budget", *PINS}),
    )


def _require_fallback(body: PolicyBody) -> None:
    if body.basis == "usage":
        if body.fallback != "refuse" and not body.targets:
            raise InvalidInput(
                "expected targets beside a fallback, got none: a caller could choose a target without a measurement"
            )
        return
    if body.fallback not in ("equal", "by_size") or body.spread != "period" or len(body.indexes) != 1:
        raise InvalidInput(
            "expected one index, fallback `equal` or `by_size` and spread `period` beside basis `training`"
        )


def _budget(body: PolicyBody) -> int:
    if body.spread == "event":
        if body.budget is None:
            raise InvalidInput("expected a budget of one period beside spread `event`, got none")
        return body.budget
    if body.budget not in (None, body.pool):
        raise InvalidInput(
            "expected the pool as the budget beside spread `period`, got another amount: leave it out"
        )
    return body.pool


def _document(policy: Policy) -> PolicyDocument:
    return PolicyDocument(policy=policy, minor_digits=minor_digits(policy.currency), sha256=policy.sha256)
