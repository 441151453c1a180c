"""Every route x every kind of caller: 401 without a valid key, 403 without its scope, and never more than that."""

import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from byline.api.accounts import Scope
from byline_service.accounts import key_management
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.keys import new_key, parse_key
from byline_service.accounts.permissions import PUBLIC, Requirement
from byline_service.accounts.sessions import COOKIE
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, make_key, prepared, sign_in
from tests.service.permissions import PERMISSIONS, Needs

OWNER = "owner 1"
"""Whose rows the reader of one owner sees; the others' names are `owner 0` and `owner 2`."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
SAFE = {"GET", "HEAD", "OPTIONS"}
GUARDED = sorted(route for route, needs in PERMISSIONS.items() if needs is not None)
ROUTES = sorted(PERMISSIONS)
VALUES = {"name": "fake", "example_id": "docs/1/part.py#1".replace("#", "%23"), "owner": OWNER}


def address(path):
    for name, value in VALUES.items():
        path = path.replace("{" + name + "}", value)
    return path.replace("{", "").replace("}", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A service with a key of each kind.

    Yields:
        Its client without a key, its application and the keys' texts by kind.
    """
    settings = prepared(tmp_path_factory.mktemp("data"), key_fresh_seconds=0.0)
    app = create_app(settings, {"fake": fake_attributor()[0]})
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        database = app.state.service.database

        def key(**wanted):
            return client.portal.call(lambda: make_key(database, **wanted))

        async def revoke(text):
            async with database.begin() as transaction:
                await key_management.revoke(transaction, OPERATOR, parse_key(text).id)

        past = datetime.now(UTC) - timedelta(seconds=1)
        keys = {scope.value: key(scopes=[scope]) for scope in Scope}
        keys |= {"owner": key(scopes=["read"], owners=[OWNER])}
        keys |= {"expired": key(scopes=["admin"], expires_at=past), "revoked": key(scopes=["admin"])}
        client.portal.call(revoke, keys["revoked"])
        yield SimpleNamespace(client=client, app=app, keys=keys, key=key, revoke=revoke, settings=settings)


def ask(world, method, path, **headers):
    world.client.cookies.clear()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = None if method in SAFE else b"{}"
    kind = {} if body is None else {"content-type": "application/json", "idempotency-key": "one"}
    return world.client.request(
        method, address(path), content=body, headers=kind | named, follow_redirects=False
    )


def routes(app):
    """Each method and path, with what its dependencies ask of the caller.

    Yields:
        Method, path, requirement.
    """
    for route in iter_route_contexts(app.routes):
        path = str(route.path).replace(":path}", "}")
        for method in getattr(route, "methods", None) or ("GET",):
            if method != "HEAD" or ("HEAD", path) in PERMISSIONS:
                yield method, path, requirement(getattr(route, "dependant", None))


def requirement(dependant):
    waiting = [dependant] if dependant else []
    found = []
    while waiting:
        each = waiting.pop()
        found += [each.call] if isinstance(each.call, Requirement) else []
        waiting += each.dependencies
    assert len(found) <= 1, "a route asks twice, and not the same"
    return found[0] if found else None


def test_every_route_is_in_the_table_and_the_table_has_no_other(world):
    found = {(method, path) for method, path, _ in routes(world.app)}
    assert sorted(found - set(PERMISSIONS)) == [], "write who may ask them into tests/service/permissions.py"
    assert sorted(set(PERMISSIONS) - found) == [], "gone: take them out of tests/service/permissions.py"


def test_routes_declare_what_the_table_says(world):
    for method, path, found in routes(world.app):
        needs = PERMISSIONS.get((method, path))
        declared = None if found is None else Needs(found.scope, found.owner_scoped)
        assert declared == needs, (method, path)


def test_what_needs_no_key_is_what_the_table_says(world):
    public = {path for (_, path), needs in PERMISSIONS.items() if needs is None}
    assert public == PUBLIC


BAD = {
    "anonymous": {},
    "malformed": {"authorization": "Bearer byl_x"},
    "unknown": {"authorization": f"Bearer {new_key().text}"},
    "one character wrong": {"authorization": "Bearer " + admin_key()[:-8] + "0" + admin_key()[-7:]},
    "another kind": {"authorization": "Basic " + admin_key()},
    "no kind": {"authorization": admin_key()},
    "empty": {"authorization": ""},
    "unsigned session": {"cookie": f"{COOKIE}=e30.e30", "sec-fetch-site": "same-origin"},
}


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_valid_key_a_route_says_401(world, method, path):
    bad = BAD | {kind: bearer(world.keys[kind]) for kind in ("expired", "revoked")}
    for kind, headers in bad.items():
        response = ask(world, method, path, **headers)
        assert response.status_code == 401, (kind, response.text)
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["type"] == "urn:byline:problem:unauthorized"


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_route_lets_in_its_scope_and_admin_alone(world, method, path):
    needs = PERMISSIONS[method, path]
    for scope in Scope:
        response = ask(world, method, path, **bearer(world.keys[scope]))
        right = needs.scope is None or scope in {needs.scope, Scope.ADMIN}
        right |= (needs.scope, scope) == (Scope.READ, Scope.APPROVE)  # approvers see what they approve
        assert response.status_code not in {401, 500}, (scope, response.text)
        assert (response.status_code == 403) == (not right), (scope, response.text)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_reader_of_one_owner_gets_in_where_answers_are_narrowed(world, method, path):
    needs = PERMISSIONS[method, path]
    response = ask(world, method, path, **bearer(world.keys["owner"]))
    assert (response.status_code == 403) == (not needs.owner_scoped), response.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_other_methods_get_nobody_further(world, method, path):
    """Whatever the method, a stranger hears 401; whoever may ask hears 405."""
    others = [other for other in METHODS if (other, path) not in PERMISSIONS]
    if path in {"/openapi.json", "/static"}:
        others.remove("HEAD")  # theirs are Starlette's own, and as harmless as GET
    for other in others:
        response = ask(world, other, path)
        if path == "/static":
            assert response.status_code in {404, 405}
            continue
        assert response.status_code == (405 if PERMISSIONS[method, path] is None else 401), other
        known = ask(world, other, path, **bearer(world.keys["admin"]))
        assert known.status_code == 405, (other, known.text)
        assert other not in known.headers["allow"].split(", ")


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL"]
)
def test_headers_do_not_change_what_is_asked(world, name):
    """A proxy before the service may have decided by the method and address that it saw."""
    for value in ("POST", "DELETE", "/livez", "/login"):
        assert ask(world, "GET", "/v1/indexes", **{name: value}).status_code == 401
    asked = ask(world, "GET", "/v1/indexes/{name}/shares", **bearer(world.keys["admin"]), **{name: "POST"})
    assert asked.status_code == 405


def test_addresses_that_do_not_exist_tell_a_stranger_nothing(world):
    for path in ("/v1", "/v1/nothing", "/v1/indexes/other", "/v1/keys/x/y", "/admin", "/.env", "/metrics/x"):
        assert ask(world, "GET", path).status_code == 401


def test_a_403_comes_before_any_word_about_the_request(world):
    """What exists, and what is wrong with a body, is for callers who may ask."""
    reader = bearer(world.keys["read"])
    for path in ("/v1/indexes/other/shares", "/v1/indexes/fake/shares"):
        for content in (b"{", b"x" * 5000):
            response = world.client.post(path, content=content, headers=reader)
            assert response.status_code == 403


def session(world, key):
    world.client.cookies.clear()
    response = sign_in(world.client, key)
    assert response.status_code == 204, response.text
    cookie = response.headers.get_list("set-cookie")[0]
    world.client.cookies.clear()
    return cookie


def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(world):
    cookie = session(world, world.keys["read"])
    value, *flags = cookie.split("; ")
    assert {"httponly", "samesite=strict", "path=/"} <= {flag.lower() for flag in flags}
    assert world.keys["read"] not in cookie
    assert value.startswith(f"{COOKIE}=")
    tls = sign_in(world.client, world.keys["read"], **{"x-forwarded-proto": "https"})
    world.client.cookies.clear()
    assert tls.status_code == 204


ELSEWHERE = {
    "nothing said": {},
    "another site": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:81"},
    "a name that begins alike": {"origin": "http://localhost.evil.example"},
    "null": {"origin": "null"},
    "no scheme": {"origin": "localhost"},
    "cross-site": {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
    "same-site": {"sec-fetch-site": "same-site", "origin": "http://localhost"},
    "typed in": {"sec-fetch-site": "none"},
    "nonsense": {"sec-fetch-site": "same-origin, cross-site"},
}
UNSAFE = [route for route in GUARDED if route[0] not in SAFE]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_another_site_cannot_use_a_session(world, method, path):
    cookie = {"cookie": session(world, world.keys["admin"]).split(";")[0]}
    for kind, headers in ELSEWHERE.items():
        response = ask(world, method, path, **cookie, **headers)
        assert response.status_code == 403, (kind, response.text)
    for headers in ({"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}):
        cookie = {"cookie": session(world, world.keys["admin"]).split(";")[0]}  # the other one may be ended
        assert ask(world, method, path, **cookie, **headers).status_code not in {401, 403, 500}


@pytest.mark.parametrize(("method", "path"), [route for route in GUARDED if route[0] == "GET"])
def test_a_session_may_what_its_key_may(world, method, path):
    needs = PERMISSIONS[method, path]
    for kind in ("query", "read", "owner"):
        cookie = {"cookie": session(world, world.keys[kind]).split(";")[0]}
        by_cookie, by_key = (
            ask(world, method, path, **cookie),
            ask(world, method, path, **bearer(world.keys[kind])),
        )
        assert by_cookie.status_code == by_key.status_code, (kind, needs)


def test_a_changed_cookie_is_no_session(world):
    name, value = session(world, world.keys["admin"]).split(";")[0].split("=", 1)
    assert ask(world, "GET", "/v1/indexes", cookie=f"{name}={value}").status_code == 200
    for at in range(len(value)):
        other = "A" if value[at] != "A" else "Q"
        changed = value[:at] + other + value[at + 1 :]
        assert ask(world, "GET", "/v1/indexes", cookie=f"{name}={changed}").status_code == 401, at
    for changed in (value + ".x", value.partition(".")[0], "." + value, value[::-1], ""):
        assert ask(world, "GET", "/v1/indexes", cookie=f"{name}={changed}").status_code == 401


def test_a_wrong_key_is_not_saved_by_a_session(world):
    cookie = session(world, world.keys["admin"]).split(";")[0]
    response = ask(world, "GET", "/v1/indexes", cookie=cookie, authorization="Bearer byl_x")
    assert response.status_code == 401


def test_a_revoked_key_ends_its_sessions(world):
    key = world.key(scopes=["read"])
    cookie = session(world, key).split(";")[0]
    assert ask(world, "GET", "/v1/indexes", cookie=cookie).status_code == 200
    world.client.portal.call(world.revoke, key)
    assert ask(world, "GET", "/v1/indexes", cookie=cookie).status_code == 401
    assert ask(world, "GET", "/v1/indexes", **bearer(key)).status_code == 401


def test_signing_in_needs_a_valid_key_and_this_site(world):
    for kind in ("expired", "revoked"):
        assert sign_in(world.client, world.keys[kind]).status_code == 401
    assert sign_in(world.client, "byl_x").status_code == 401
    for headers in ELSEWHERE.values():
        if headers:
            response = sign_in(world.client, world.keys["read"], **headers)
            assert response.status_code == 403, headers


def test_a_browser_is_sent_to_sign_in_and_back_to_this_site_alone(world):
    for path in ("/", "//evil.example/x", "/?next=https://evil.example"):
        response = world.client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
        assert response.status_code == 303, path
        assert response.headers["location"].startswith("/login?next=%2F"), path


def test_the_metrics_are_for_this_machine_or_for_readers(world, tmp_path):
    settings = prepared(
        tmp_path,
        host="0.0.0.0",  # noqa: S104 - it is not opened
        allowed_hosts=("localhost",),
        metrics_token="a token of the scraper",  # noqa: S106
    )
    with TestClient(
        create_app(settings, {"fake": fake_attributor()[0]}), base_url="http://localhost"
    ) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer("a token of the scrapes")).status_code == 401
        assert client.get("/metrics", headers=bearer("a token of the scraper")).status_code == 200
        assert client.get("/metrics", headers=bearer(admin_key())).status_code == 200
    assert world.client.get("/metrics").status_code == 200


def test_the_kinds_of_callers_differ(world):
    for one, other in itertools.combinations(world.keys.values(), 2):
        assert one != other
