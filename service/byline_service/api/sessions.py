"""Signing in and out with a browser. Programs show their key with every request, so this is no part of the API."""

import time
from contextlib import suppress

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from byline.api.documents import Body
from byline.errors import BylineError, Conflict, Unauthorized
from byline_service.accounts import audit, login_tokens, session_queries
from byline_service.accounts.authentication import require_same_origin
from byline_service.accounts.failed_logins import FailedLogin
from byline_service.accounts.key_queries import StoredKey
from byline_service.accounts.keys import parse_key
from byline_service.accounts.permissions import signed_in
from byline_service.accounts.sessions import COOKIE, SECONDS, read_session, write_session
from byline_service.http.bodies import json_body
from byline_service.http.middleware import client_address
from byline_service.state import AppState

router = APIRouter(include_in_schema=False)


class LoginBody(Body):
    """A key that is shown to sign in."""

    key: str = Field(max_length=200)
    """The whole key: `byl_…`."""
    token: str = Field(max_length=200)
    """The token of the login page."""


@router.post("/login")
async def login(request: Request) -> Response:
    """Sign a browser in: the answer sets a cookie that names the key, for half a day.

    The request comes from the login page alone. A browser that is signed in stays with its key until it is signed out, so
    that nobody is moved to another person's key by a link.
    """
    service: AppState = request.app.state.service
    body, _ = await json_body(request, LoginBody)
    require_same_origin(request.scope)
    accounts, now = service.accounts, time.time()
    nonce = accounts.cookies.read(login_tokens.COOKIE, request.scope) or ""
    login_tokens.require_token(body.token, nonce, now, accounts.secrets)
    key = await _key_of(request, body.key.strip())
    await _require_signed_out(request, key)
    cookie = write_session(key.id, now, accounts.secrets.current)
    session = read_session(cookie, now, accounts.secrets)
    async with service.database.begin() as transaction:
        details = {"address": client_address(request.scope) or ""}
        await audit.record(transaction, key.caller, "sessions.start", session.id, details)
    response = Response(status_code=204)
    accounts.cookies.write(response, COOKIE, cookie, SECONDS, request.scope)
    accounts.cookies.write(response, login_tokens.COOKIE, "", 0, request.scope)
    return response


@router.post("/logout", dependencies=[signed_in()])
async def logout(request: Request) -> Response:
    """Sign a browser out: its session ends, also for a copy of its cookie."""
    service: AppState = request.app.state.service
    accounts = service.accounts
    cookie = accounts.cookies.read(COOKIE, request.scope)
    with suppress(Unauthorized):  # a key in the header, beside an old cookie or none
        session = read_session(cookie or "", time.time(), accounts.secrets)
        async with service.database.begin() as transaction:
            if await session_queries.end(transaction, session):
                caller = request.scope["state"]["caller"]
                await audit.record(transaction, caller, "sessions.end", session.id)
        accounts.forget_session(session)
    response = Response(status_code=204)
    accounts.cookies.write(response, COOKIE, "", 0, request.scope)
    return response


async def _key_of(request: Request, text: str) -> StoredKey:
    """Check the key of a login. A failure is counted for the audit log."""
    service: AppState = request.app.state.service
    try:
        return await service.accounts.by_key(text)
    except Unauthorized:
        stored = None
        with suppress(BylineError):
            stored = await service.accounts.keys.find(parse_key(text).id)
        address = client_address(request.scope) or ""
        key_id, person = (None, "") if stored is None else (stored.id, stored.person)
        service.failed_logins.add(FailedLogin(key_id, person, address, attempts=1))
        raise


async def _require_signed_out(request: Request, key: StoredKey) -> None:
    """Refuse a login in a browser that is signed in with another key.

    Raises:
        Conflict: The browser has a session of another key.
    """
    service: AppState = request.app.state.service
    cookie = service.accounts.cookies.read(COOKIE, request.scope)
    with suppress(Unauthorized):
        present = await service.accounts.by_session(cookie or "")
        if present.id != key.id:
            raise Conflict("expected a browser that is signed out, got one that is signed in: sign out first")
