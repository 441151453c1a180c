"""Deny by default. What each route asks of its caller is held in tests/service/test_authorisation.py."""

import pytest
from fastapi import APIRouter

from byline_service.accounts.permissions import is_public, require_guarded
from tests.service.conftest import client_without_key


def test_a_route_that_requires_nothing_stops_the_start(served):
    router = APIRouter()

    @router.get("/open")
    async def forgotten() -> None:
        """Forgotten."""

    require_guarded(served.app)
    served.app.include_router(router)
    with pytest.raises(RuntimeError, match="/open requires no scope"):
        require_guarded(served.app)


def test_what_does_not_exist_is_not_told_to_strangers(served):
    assert client_without_key(served.client).get("/v1/no-such-thing").status_code == 401
    assert served.client.get("/v1/no-such-thing").status_code == 404


@pytest.mark.parametrize(
    "path", ["//livez", "/livez/", "/static", "/staticx", "/login/..", "/v1/indexes", "/"]
)
def test_only_the_listed_addresses_are_public(served, path):
    assert is_public(path) is (path == "/static")
    if path not in {"/static", "//livez"}:  # the client takes the latter for a host
        assert client_without_key(served.client).get(path).status_code in {401, 404}
