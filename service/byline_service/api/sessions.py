"""Signing in and out with a browser. Programs show their key with every request, so this is no part of the API."""

import time

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from byline.api.documents import Body
from byline_service.accounts.authentication import require_same_origin
from byline_service.accounts.permissions import signed_in
from byline_service.accounts.sessions import COOKIE, SECONDS, write_session
from byline_service.http.bodies import json_body
from byline_service.state import AppState

router = APIRouter(include_in_schema=False)


class LoginBody(Body):
    """A key that is shown to sign in."""

    key: str = Field(max_length=200)
    """The whole key: `byl_…`."""


@router.post("/login")
async def login(request: Request) -> Response:
    """Sign a browser in: the answer sets a cookie that names the key, for half a day."""
    service: AppState = request.app.state.service
    body, _ = await json_body(request, LoginBody)
    if "sec-fetch-site" in request.headers or "origin" in request.headers:
        require_same_origin(request.scope)
    key = await service.accounts.by_key(body.key.strip())
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        write_session(key.id, time.time(), service.accounts.secret),
        max_age=SECONDS,
        httponly=True,
        samesite="strict",
        secure=service.settings.secure_cookies or request.url.scheme == "https",
    )
    return response


@router.post("/logout", dependencies=[signed_in()])
async def logout() -> Response:
    """Sign a browser out."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
