"""Versions of an index: made known, verified, taken out of service."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from byline.api.versions import RegisterBody, VersionInfo, VersionPage
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller, Scope
from byline_service.http.bodies import declared_body, json_body
from byline_service.http.problems import declared
from byline_service.state import AppState
from byline_service.versions import queries
from byline_service.versions.names import AFTER, PATTERN
from byline_service.versions.records import VersionFacts, VersionRecord

router = APIRouter(prefix="/v1/indexes/{name}/versions", tags=["Versions"])
Name = Annotated[str, Path(pattern=PATTERN, description="The index, or an alias of it")]
Version = Annotated[str, Path(pattern=PATTERN, description="Name of the version")]
Admin = Annotated[Caller, requires(Scope.ADMIN)]


def _service(request: Request) -> AppState:
    service: AppState = request.app.state.service
    return service


@router.get(
    "",
    operation_id="list_versions",
    dependencies=[requires(Scope.READ)],
    responses=declared(404, 422),
)
async def list_versions(
    request: Request,
    name: Name,
    after: Annotated[str, Query(pattern=AFTER, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most")] = 100,
) -> VersionPage:
    """List the versions of an index that are known."""
    service = _service(request)
    async with service.database.read() as tx:
        found = await queries.list_versions(tx, service.index_of(name), after, limit + 1)
        names = await queries.aliases_by_version(tx, service.index_of(name))
    page = [VersionInfo.of(record, names.get(record.version, [])) for record in found[:limit]]
    return VersionPage(versions=page, next=page[-1].version if len(found) > limit else None)


@router.get(
    "/{version}",
    operation_id="get_version",
    dependencies=[requires(Scope.READ)],
    responses=declared(404, 422),
)
async def get_version(request: Request, name: Name, version: Version) -> VersionInfo:
    """Describe a version; while it is verified, how far that is."""
    service = _service(request)
    facts = VersionFacts(index=service.index_of(name), version=version)
    return await _described(service, await service.switcher.find(facts))


@router.post(
    "",
    operation_id="register_version",
    responses=declared(404, 409, 413, 415, 422, 507),
    openapi_extra=declared_body(RegisterBody),
)
async def register_version(request: Request, name: Name, caller: Admin) -> VersionInfo:
    """Make a version known, by the name of a directory inside the index's own.

    One whose manifest cannot be read is in quarantine at once. The same again changes nothing.
    """
    service = _service(request)
    body, _ = await json_body(request, RegisterBody)
    record = await service.switcher.register(caller, service.index_of(name), body.version)
    return await _described(service, record)


@router.post(
    "/{version}/verify",
    operation_id="verify_version",
    status_code=202,
    responses=declared(404, 409, 422, 507),
)
async def verify_version(
    request: Request, response: Response, name: Name, version: Version, caller: Admin
) -> VersionInfo:
    """Begin to verify a version: every byte against its manifest, its Task and models, and a first question.

    Answers at once. Ask for the version itself until its `verifying` is null: its `state` is then `verified`, or
    `quarantined` with the reason. May be asked again after a repair.
    """
    service = _service(request)
    index = service.index_of(name)
    record = await service.switcher.begin_verification(caller, index, version)
    response.headers["Location"] = f"/v1/indexes/{index}/versions/{version}"
    return await _described(service, record)


@router.post(
    "/{version}/retire",
    operation_id="retire_version",
    responses=declared(404, 409, 422, 507),
)
async def retire_version(request: Request, name: Name, version: Version, caller: Admin) -> VersionInfo:
    """Take a version out of service for good; refused while an alias stands for it.

    Its directory may be deleted afterwards, once every replica has dropped it.
    """
    service = _service(request)
    return await _described(service, await service.switcher.retire(caller, service.index_of(name), version))


async def _described(service: AppState, record: VersionRecord) -> VersionInfo:
    async with service.database.read() as tx:
        return VersionInfo.of(record, await queries.aliases_of(tx, record.index, record.version))
