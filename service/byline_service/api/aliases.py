"""Aliases: which version answers under a name."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from byline.api.versions import AliasBody, AliasChangeInfo, AliasHistory, AliasInfo, AliasPage, ExpectedBody
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller, Scope
from byline_service.http.bodies import declared_body, json_body
from byline_service.http.problems import declared
from byline_service.state import AppState
from byline_service.versions import queries, transactions
from byline_service.versions.names import AFTER, PATTERN
from byline_service.versions.records import AliasRecord, VersionFacts
from byline_service.versions.transactions import Expected

router = APIRouter(prefix="/v1/aliases", tags=["Versions"])
_TAG = re.compile(r'^"?([0-9]{1,18})"?$')
"""An ETag; some clients leave its quotes out."""
Alias = Annotated[str, Path(pattern=PATTERN, description="The name")]
IfMatch = Annotated[str, Header(pattern=_TAG.pattern, description="The alias' `ETag`, as it was read")]
Admin = Annotated[Caller, requires(Scope.ADMIN)]
_CHANGED = declared(404, 409, 412, 413, 415, 422, 507)


def _service(request: Request) -> AppState:
    service: AppState = request.app.state.service
    return service


@router.get("", operation_id="list_aliases", dependencies=[requires(Scope.READ)], responses=declared(422))
async def list_aliases(
    request: Request,
    after: Annotated[str, Query(pattern=AFTER, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most")] = 100,
) -> AliasPage:
    """List the aliases: the indexes' own names, and others."""
    service = _service(request)
    async with service.database.read() as tx:
        found = await queries.list_aliases(tx, after, limit + 1)
    page = [_info(service, record) for record in found[:limit]]
    return AliasPage(aliases=page, next=page[-1].alias if len(found) > limit else None)


@router.get(
    "/{alias}", operation_id="get_alias", dependencies=[requires(Scope.READ)], responses=declared(404, 422)
)
async def get_alias(request: Request, response: Response, alias: Alias) -> AliasInfo:
    """Say what a name stands for; the header `ETag` is for `If-Match`."""
    service = _service(request)
    async with service.database.read() as tx:
        record = await transactions.get_alias(tx, alias)
    return _tagged(service, response, record)


@router.get(
    "/{alias}/history",
    operation_id="get_alias_history",
    dependencies=[requires(Scope.READ)],
    responses=declared(422),
)
async def get_alias_history(
    request: Request,
    alias: Alias,
    before: Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most")] = 100,
) -> AliasHistory:
    """List what a name stood for, the latest change first; also of one that was deleted."""
    async with _service(request).database.read() as tx:
        found = await queries.list_changes(tx, alias, before, limit + 1)
    page = [AliasChangeInfo.of(change) for change in found[:limit]]
    return AliasHistory(changes=page, next=found[limit - 1].id if len(found) > limit else None)


@router.put("/{alias}", operation_id="put_alias", responses=_CHANGED, openapi_extra=declared_body(AliasBody))
async def put_alias(
    request: Request, response: Response, alias: Alias, caller: Admin, if_match: IfMatch = ""
) -> AliasInfo:
    """Have a name stand for a verified version of an index, if it is as expected: all or nothing.

    What is expected is said by `expected` (409 where it is wrong), by the header `If-Match` (412), or both. This replica
    opens the version first: once it has answered, it serves it, and the others follow within about a second.
    Requests that are under way are answered by the version that they began with.
    """
    service = _service(request)
    body, _ = await json_body(request, AliasBody)
    to = VersionFacts(index=service.index_of(body.index), version=body.version)
    record = await service.switcher.switch(caller, alias, to, _expected(body.expected, if_match))
    return _tagged(service, response, record)


@router.post(
    "/{alias}/rollback",
    operation_id="roll_back_alias",
    responses=_CHANGED,
    openapi_extra=declared_body(ExpectedBody),
)
async def roll_back_alias(
    request: Request, response: Response, alias: Alias, caller: Admin, if_match: IfMatch = ""
) -> AliasInfo:
    """Return a name to what it stood for before, if it is as expected; the same again undoes that."""
    service = _service(request)
    body, _ = await json_body(request, ExpectedBody)
    record = await service.switcher.roll_back(caller, alias, _expected(body.expected, if_match))
    return _tagged(service, response, record)


@router.delete(
    "/{alias}", operation_id="delete_alias", status_code=204, responses=declared(404, 409, 412, 422, 507)
)
async def delete_alias(
    request: Request,
    alias: Alias,
    caller: Admin,
    expected: Annotated[str, Query(pattern=PATTERN, description="The version it stands for")],
    if_match: IfMatch = "",
) -> None:
    """Forget a name, if it is as expected; an index's own name stays."""
    await _service(request).switcher.delete(caller, alias, _expected(expected, if_match))


def _expected(version: str | None, if_match: str) -> Expected:
    matched = _TAG.match(if_match)
    return Expected(version=version, revision=None if matched is None else int(matched[1]))


def _tagged(service: AppState, response: Response, record: AliasRecord) -> AliasInfo:
    response.headers["ETag"] = f'"{record.revision}"'
    return _info(service, record)


def _info(service: AppState, record: AliasRecord) -> AliasInfo:
    served = service.versions.served.get(record.alias)
    return AliasInfo.of(record, None if served is None else served.version)
