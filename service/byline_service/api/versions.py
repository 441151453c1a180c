"""Versions of an index: made known, verified, taken out of service; and the aliases that stand for them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from byline.api.accounts import Scope
from byline.api.page import Page
from byline.api.versions import (
    NAME_PATTERN,
    AliasBody,
    AliasChangeInfo,
    AliasInfo,
    CheckInfo,
    ExpectedBody,
    RegisterBody,
    VersionInfo,
)
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.http.bodies import json_body, request_body
from byline_service.http.pagination import After, Limit, Number, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.state import AppState
from byline_service.versions import queries, transactions
from byline_service.versions.records import AliasChange, AliasRecord, VersionFacts, VersionRecord
from byline_service.versions.transactions import Expected

router = APIRouter(prefix="/v1/indexes/{name}/versions", tags=["Versions"])
alias_router = APIRouter(prefix="/v1/aliases", tags=["Versions"])
_TAG = re.compile(r'^"?([0-9]{1,18})"?$')
"""An ETag. Some clients leave its quotes out."""
Alias = Annotated[str, Path(pattern=NAME_PATTERN, description="The name")]
IfMatch = Annotated[str, Header(pattern=_TAG.pattern, description="The alias' `ETag`, as it was read")]
_CHANGED = problem_responses(404, 409, 412, 413, 415, 422, 507)
Name = Annotated[str, Path(pattern=NAME_PATTERN, description="The index, or an alias of it")]
Version = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the version")]
Admin = Annotated[Caller, requires(Scope.ADMIN)]


def _service(request: Request) -> AppState:
    service: AppState = request.app.state.service
    return service


@router.get(
    "",
    operation_id="list_versions",
    dependencies=[requires(Scope.READ)],
    responses=problem_responses(404, 422),
)
async def list_versions(
    request: Request,
    name: Name,
    after: After = None,
    limit: Limit = 100,
) -> Page[VersionInfo]:
    """List the registered versions of an index."""
    service = _service(request)
    (last,) = place_of(after, tuple[Text]) or ("",)
    async with service.database.read() as tx:
        found = await queries.list_versions(tx, service.index_of(name), last, limit + 1)
        names = await queries.aliases_by_version(tx, service.index_of(name))
    shown, following = cut(found, limit, lambda record: (record.version,))
    page = [_version_info(record, names.get(record.version, [])) for record in shown]
    return Page[VersionInfo].of(page, following)


@router.get(
    "/{version}",
    operation_id="get_version",
    dependencies=[requires(Scope.READ)],
    responses=problem_responses(404, 422),
)
async def get_version(request: Request, name: Name, version: Version) -> VersionInfo:
    """Describe a version. During a verification, the answer has its progress."""
    service = _service(request)
    facts = VersionFacts(index=service.index_of(name), version=version)
    return await _described(service, await service.switcher.find(facts))


@router.post(
    "",
    operation_id="register_version",
    responses=problem_responses(404, 409, 413, 415, 422, 507),
    openapi_extra=request_body(RegisterBody),
)
async def register_version(request: Request, name: Name, caller: Admin) -> VersionInfo:
    """Register a version, by the name of a directory inside the index's own.

    A version without a readable manifest is `damaged` at once. A repeated request changes nothing.
    """
    service = _service(request)
    body, _ = await json_body(request, RegisterBody)
    record = await service.switcher.register(caller, service.index_of(name), body.version)
    return await _described(service, record)


@router.post(
    "/{version}/verify",
    operation_id="verify_version",
    status_code=202,
    responses=problem_responses(404, 409, 422, 507),
)
async def verify_version(
    request: Request, response: Response, name: Name, version: Version, caller: Admin
) -> VersionInfo:
    """Begin to verify a version: every byte against its manifest, its Task and models, and a first query.

    The answer comes at once. Read the version until its `verifying` is null. Its `state` is then `verified`, or
    `damaged` or `unservable` with the reason. Repeat the verification after a repair.
    """
    service = _service(request)
    index = service.index_of(name)
    record = await service.switcher.begin_verification(caller, index, version)
    response.headers["Location"] = f"/v1/indexes/{index}/versions/{version}"
    return await _described(service, record)


@router.post(
    "/{version}/retire",
    operation_id="retire_version",
    responses=problem_responses(404, 409, 422, 507),
)
async def retire_version(request: Request, name: Name, version: Version, caller: Admin) -> VersionInfo:
    """Take a version out of service permanently. An alias that points to it prevents this.

    Its directory may be deleted afterwards, once every replica has dropped it.
    """
    service = _service(request)
    return await _described(service, await service.switcher.retire(caller, service.index_of(name), version))


async def _described(service: AppState, record: VersionRecord) -> VersionInfo:
    async with service.database.read() as tx:
        return _version_info(record, await queries.aliases_of(tx, record.index, record.version))


@alias_router.get(
    "", operation_id="list_aliases", dependencies=[requires(Scope.READ)], responses=problem_responses(422)
)
async def list_aliases(
    request: Request,
    after: After = None,
    limit: Limit = 100,
) -> Page[AliasInfo]:
    """List the aliases, including the indexes' own names."""
    service = _service(request)
    (last,) = place_of(after, tuple[Text]) or ("",)
    async with service.database.read() as tx:
        found = await queries.list_aliases(tx, last, limit + 1)
    shown, following = cut(found, limit, lambda record: (record.alias,))
    return Page[AliasInfo].of([_info(service, record) for record in shown], following)


@alias_router.get(
    "/{alias}",
    operation_id="get_alias",
    dependencies=[requires(Scope.READ)],
    responses=problem_responses(404, 422),
)
async def get_alias(request: Request, response: Response, alias: Alias) -> AliasInfo:
    """Return the version of an alias. The header `ETag` is for `If-Match`."""
    service = _service(request)
    async with service.database.read() as tx:
        record = await transactions.get_alias(tx, alias)
    return _tagged(service, response, record)


@alias_router.get(
    "/{alias}/history",
    operation_id="get_alias_history",
    dependencies=[requires(Scope.READ)],
    responses=problem_responses(422),
)
async def get_alias_history(
    request: Request,
    alias: Alias,
    after: After = None,
    limit: Limit = 100,
) -> Page[AliasChangeInfo]:
    """List the changes of an alias, the latest first. A deleted alias keeps its history."""
    (last,) = place_of(after, tuple[Number]) or (None,)
    async with _service(request).database.read() as tx:
        found = await queries.list_changes(tx, alias, last, limit + 1)
    shown, following = cut(found, limit, lambda change: (change.id,))
    return Page[AliasChangeInfo].of([_change(change) for change in shown], following)


@alias_router.put(
    "/{alias}", operation_id="put_alias", responses=_CHANGED, openapi_extra=request_body(AliasBody)
)
async def put_alias(
    request: Request, response: Response, alias: Alias, caller: Admin, if_match: IfMatch = ""
) -> AliasInfo:
    """Point an alias to a verified version of an index, if the alias is still as expected.

    The field `expected` (409 if it differs), the header `If-Match` (412 if it differs), or both state the expected alias.
    This replica opens the version before it answers. The others serve it within about a second.
    A request that is under way is answered by the version that it began with. An error changes nothing.
    """
    service = _service(request)
    body, _ = await json_body(request, AliasBody)
    to = VersionFacts(index=service.index_of(body.index), version=body.version)
    record = await service.switcher.switch(caller, alias, to, _expected(body.expected, if_match))
    return _tagged(service, response, record)


@alias_router.post(
    "/{alias}/rollback",
    operation_id="roll_back_alias",
    responses=_CHANGED,
    openapi_extra=request_body(ExpectedBody),
)
async def roll_back_alias(
    request: Request, response: Response, alias: Alias, caller: Admin, if_match: IfMatch = ""
) -> AliasInfo:
    """Return an alias to its previous version, if the alias is as expected. A second rollback undoes the first."""
    service = _service(request)
    body, _ = await json_body(request, ExpectedBody)
    record = await service.switcher.roll_back(caller, alias, _expected(body.expected, if_match))
    return _tagged(service, response, record)


@alias_router.delete(
    "/{alias}",
    operation_id="delete_alias",
    status_code=204,
    responses=problem_responses(404, 409, 412, 422, 507),
)
async def delete_alias(
    request: Request,
    alias: Alias,
    caller: Admin,
    expected: Annotated[str, Query(pattern=NAME_PATTERN, description="The version it stands for")],
    if_match: IfMatch = "",
) -> None:
    """Delete an alias, if it is as expected. The index's own name cannot be deleted."""
    await _service(request).switcher.delete(caller, alias, _expected(expected, if_match))


def _expected(version: str | None, if_match: str) -> Expected:
    matched = _TAG.match(if_match)
    return Expected(version=version, revision=None if matched is None else int(matched[1]))


def _tagged(service: AppState, response: Response, record: AliasRecord) -> AliasInfo:
    response.headers["ETag"] = f'"{record.revision}"'
    return _info(service, record)


def _info(service: AppState, record: AliasRecord) -> AliasInfo:
    served = service.versions.served.get(record.alias)
    return AliasInfo(**vars(record), served=None if served is None else served.version)


def _version_info(record: VersionRecord, aliases: Sequence[str]) -> VersionInfo:
    checking = record.checking(datetime.now(UTC))
    progress = CheckInfo(bytes=record.checked_bytes or 0, total_bytes=record.total_bytes or 0)
    return VersionInfo(
        index=record.index,
        version=record.version,
        state=record.state,
        reason=record.reason,
        verifying=progress if checking else None,
        aliases=list(aliases),
        manifest=record.manifest_digest,
        recipe=record.recipe,
        recipe_fingerprint=record.recipe_fingerprint,
        registered_at=record.registered_at,
        verified_at=record.verified_at,
        unusable_at=record.unusable_at,
        retired_at=record.retired_at,
    )


def _change(change: AliasChange) -> AliasChangeInfo:
    return AliasChangeInfo(**{name: getattr(change, name) for name in AliasChangeInfo.model_fields})
