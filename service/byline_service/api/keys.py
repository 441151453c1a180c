"""Keys over HTTP, for admins. A key is shown in the answer that makes it, and never again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from byline.api.accounts import (
    KeyInfo,
    NewKey,
    NewKeyBody,
    PersonDocument,
    RotateBody,
    Scope,
)
from byline.api.page import Page
from byline_service.accounts import key_management, key_queries, persons
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.permissions import requires, signed_in
from byline_service.accounts.scopes import Caller
from byline_service.http.bodies import json_body, request_body
from byline_service.http.locations import location
from byline_service.http.pagination import After, Limit, Text, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import party_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1", tags=["Accounts"])
KeyId = Annotated[
    str, Path(pattern="^[0-9A-Za-z]{12}$", description="A key's id: its 12 characters after `byl_`")
]
Admin = Annotated[Caller, requires(Scope.ADMIN)]


@router.get("/caller", operation_id="get_caller", dependencies=[signed_in()])
async def get_caller(request: Request) -> KeyInfo:
    """Describe the key of the request."""
    return described(request.scope["state"]["key"])


@router.get("/keys", operation_id="list_keys", responses=problem_responses(422))
async def list_keys(
    request: Request,
    caller: Admin,
    after: After = None,
    limit: Limit = 100,
) -> Page[KeyInfo]:
    """List the keys, including revoked and expired ones."""
    del caller
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Text]) or (None,)
    async with service.database.read() as reading:
        found = await key_queries.page(reading, last, limit + 1)
    shown, following = cut(found, limit, lambda key: (key.id,))
    return Page[KeyInfo].of([described(each) for each in shown], following)


@router.get("/keys/{key_id}", operation_id="get_key", responses=problem_responses(404, 422))
async def get_key(request: Request, caller: Admin, key_id: KeyId) -> KeyInfo:
    """Describe a key, also a revoked or an expired one."""
    del caller
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        found = await key_queries.find(reading, key_id)
    if found is None:
        raise key_queries.unknown_key()
    return described(found)


@router.get("/persons", operation_id="list_persons", responses=problem_responses(422))
async def list_persons(
    request: Request,
    caller: Admin,
    after: After = None,
    limit: Limit = 100,
) -> Page[PersonDocument]:
    """List the persons, with who recorded each and when. A person is recorded with the first key."""
    del caller
    service: AppState = request.app.state.service
    (last,) = place_of(after, tuple[Text]) or (None,)
    async with service.database.read() as reading:
        found = await persons.page(reading, last, limit + 1)
    shown, following = cut(found, limit, lambda person: (person.name,))
    return Page[PersonDocument].of([PersonDocument(**vars(each)) for each in shown], following)


@router.post(
    "/keys",
    operation_id="create_key",
    status_code=201,
    responses=problem_responses(413, 415, 422, 504, 507),
    openapi_extra=request_body(NewKeyBody),
)
async def create_key(request: Request, response: Response, caller: Admin) -> NewKey:
    """Create a key. This answer alone shows it."""
    body, _ = await json_body(request, NewKeyBody)
    service: AppState = request.app.state.service
    wanted = key_management.NewKey(
        name=body.name,
        person=body.person,
        scopes=frozenset(body.scopes),
        owners=None if body.owners is None else frozenset(body.owners),
        expires_at=body.expires_at,
        requests_per_minute=body.requests_per_minute,
        queries_per_minute=body.queries_per_minute,
    )
    served = set() if wanted.owners is None else await asyncio.to_thread(service.owners)
    async with service.database.begin() as transaction:
        await party_queries.require_known_owners(transaction, wanted.owners or (), served)
        made = await key_management.create(transaction, caller, wanted, service.accounts.secrets.current)
        stored = await key_queries.get_key(transaction, made.id)
    response.headers["Location"] = location("/v1/keys", made.id)
    return NewKey(key=made.text, **vars(described(stored)))


@router.post(
    "/keys/{key_id}/rotate",
    operation_id="rotate_key",
    status_code=201,
    responses=problem_responses(404, 409, 413, 415, 422, 504, 507),
    openapi_extra=request_body(RotateBody),
)
async def rotate_key(request: Request, response: Response, caller: Admin, key_id: KeyId) -> NewKey:
    """Replace a key. Both keys are valid for a while, two at most. This answer alone shows the new key."""
    body, _ = await json_body(request, RotateBody)
    service: AppState = request.app.state.service
    overlap = timedelta(hours=body.overlap_hours)
    async with service.database.begin() as transaction:
        made = await key_management.rotate(
            transaction, caller, key_id, service.accounts.secrets.current, overlap
        )
        stored = await key_queries.get_key(transaction, made.id)
    service.accounts.forget(key_id)
    response.headers["Location"] = location("/v1/keys", made.id)
    return NewKey(key=made.text, **vars(described(stored)))


@router.delete(
    "/keys/{key_id}", operation_id="revoke_key", status_code=204, responses=problem_responses(404, 422, 507)
)
async def revoke_key(request: Request, caller: Admin, key_id: KeyId) -> Response:
    """Revoke a key at once. Other replicas notice within `key_fresh_seconds`."""
    service: AppState = request.app.state.service
    async with service.database.begin() as transaction:
        await key_management.revoke(transaction, caller, key_id)
    service.accounts.forget(key_id)
    return Response(status_code=204)


def described(key: StoredKey) -> KeyInfo:
    """Return a key as the API shows it."""
    return KeyInfo(
        id=key.id,
        name=key.name,
        person=key.person,
        scopes=sorted(key.scopes),
        owners=None if key.owners is None else sorted(key.owners),
        requests_per_minute=key.requests_per_minute,
        queries_per_minute=key.queries_per_minute,
        replaces=key.replaces,
        made_by=key.made_by,
        made_by_key=key.made_by_key,
        active=key.active(datetime.now(UTC)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )
