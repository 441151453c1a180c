"""Browsers: signing in and out, the cookie, and requests that other sites send them to make."""

import time

import pytest

from byline_service.accounts.login_tokens import new_token
from byline_service.accounts.secret import Secrets
from byline_service.accounts.sessions import COOKIE, SECONDS, write_session
from byline_service.maintenance import write
from tests.service.conftest import client_without_key
from tests.service.keys import SECRET as OURS
from tests.service.keys import admin_key, bearer, sign_in

SECRET = b"s" * 32
SECRETS = Secrets(SECRET)
OWN = {"origin": "http://localhost"}
NEW = "another secret, as long as the first one is"
ASK, QUERY = "/v1/indexes/fake/attributions", {"query": {"text": "hello"}}


def session_header(response):
    """The header that sets the session, which comes first."""
    return response.headers.get_list("set-cookie")[0]


@pytest.fixture
def browser(served):
    client = client_without_key(served.client)
    assert sign_in(client, admin_key()).status_code == 204
    return client


def test_the_cookie_is_for_this_site_and_no_script(served):
    client = client_without_key(served.client)
    cookie = session_header(sign_in(client, admin_key()))
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SECONDS}"} <= set(cookie.split("; "))
    assert admin_key()[16:] not in cookie
    assert "Secure" not in cookie


@pytest.mark.parametrize(("scheme", "setting"), [("https", False), ("https", True)])
def test_over_https_the_cookie_is_for_this_host_alone(serve, scheme, setting):
    client = client_without_key(serve(secure_cookies=setting).client, scheme)
    cookie = session_header(sign_in(client, admin_key(), origin=f"{scheme}://localhost"))
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert {"Secure", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    client.cookies.clear()
    assert client.get("/v1/caller", headers={"cookie": f"__Host-{COOKIE}={value}"}).status_code == 200
    assert client.get("/v1/caller", headers={"cookie": f"{COOKIE}={value}"}).status_code == 401


def test_behind_a_proxy_that_ends_tls_the_setting_says_so(serve):
    client = client_without_key(serve(secure_cookies=True).client)
    names = [each.split("=")[0] for each in client.get("/login").headers.get_list("set-cookie")]
    assert names == ["__Host-byline_login"]


def test_pages_send_a_stranger_to_sign_in_and_back(served):
    client = client_without_key(served.client)
    page = client.get("/?index=fake&query=%7B%7D", headers={"accept": "text/html"}, follow_redirects=False)
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2F%3Findex%3Dfake%26query%3D%257B%257D"
    assert client.get("/v1/indexes", headers={"accept": "text/html"}).status_code == 401
    assert client.get(page.headers["location"]).status_code == 200


def test_signed_in_a_browser_reads_and_asks(browser):
    assert browser.get("/").status_code == 200
    assert browser.post(ASK, json=QUERY, headers=OWN).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
    ],
)
def test_other_sites_cannot_make_a_browser_change_anything(browser, headers):
    response = browser.post(ASK, json=QUERY, headers=headers)
    assert response.status_code == 403
    assert "this service's own pages" in response.json()["detail"]
    assert browser.post("/logout", headers=headers).status_code == 403
    assert browser.get("/").status_code == 200


def test_signing_out_and_revoking_end_a_session(browser, served):
    key_id = browser.get("/v1/caller").json()["id"]
    assert browser.post("/logout", headers=OWN).status_code == 204
    assert browser.get("/v1/caller").status_code == 401
    key = served.key_for(scopes=["read"])
    sign_in(browser, key)
    own = browser.get("/v1/caller").json()["id"]
    assert own != key_id
    assert served.client.delete(f"/v1/keys/{own}").status_code == 204
    assert browser.get("/v1/caller").status_code == 401


def test_a_key_in_the_header_wins_over_the_cookie(browser):
    assert browser.get("/v1/caller", headers={"authorization": "Bearer nothing"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"key": 1, "token": ""}', b'{"key": NaN}', b'{"key": "byl_x"}', b"[" * 1_000],
)
def test_broken_bodies_at_the_login(served, body):
    response = client_without_key(served.client).post(
        "/login", content=body, headers=OWN | {"content-type": "application/json"}
    )
    assert response.status_code == 422


def test_a_wrong_key_signs_nobody_in(served):
    client = client_without_key(served.client)
    response = sign_in(client, "byl_" + "0" * 50)
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    client.cookies.set(COOKIE, write_session("0" * 12, time.time(), b"x" * 32))
    assert client.get("/v1/caller").status_code == 401


def test_a_copy_of_the_cookie_is_refused_after_signing_out_in_every_replica(serve, database):
    first, other = (serve(database_url=database.url, key_fresh_seconds=0.0) for _ in range(2))
    victim = client_without_key(first.client)
    stolen = {"cookie": session_header(sign_in(victim, admin_key())).split(";")[0]}
    replicas = [client_without_key(each.client) for each in (first, other)]
    assert [each.get("/v1/caller", headers=stolen).status_code for each in replicas] == [200, 200]
    assert victim.post("/logout", headers=OWN).status_code == 204
    assert [each.get("/v1/caller", headers=stolen).status_code for each in replicas] == [401, 401]
    assert victim.post("/logout", headers=OWN | stolen).status_code == 401


def test_a_browser_that_is_signed_in_is_not_moved_to_another_key(browser, served):
    mine, theirs = browser.get("/v1/caller").json()["id"], served.key_for(scopes=["read"])
    assert sign_in(browser, theirs).status_code == 403, "its page has no form"
    assert browser.get("/v1/caller").json()["id"] == mine
    shown = browser.get("/login").text
    assert "Signed in" in shown
    assert 'id="key"' not in shown
    token, cookie = new_token(time.time(), OURS.encode())
    browser.cookies.set("byline_login", cookie)
    response = browser.post("/login", json={"key": theirs, "token": token}, headers=OWN)
    assert response.status_code == 409, "a page that was opened before"
    assert "sign out first" in response.json()["detail"]
    assert browser.get("/v1/caller").json()["id"] == mine


def test_no_address_signs_anybody_in(served):
    client = client_without_key(served.client)
    for path in (f"/login?key={admin_key()}", f"/?key={admin_key()}", f"/login?next=/&key={admin_key()}"):
        assert "session" not in client.get(path).headers.get("set-cookie", "")
    assert client.get("/v1/caller").status_code == 401


def test_a_login_comes_from_this_service_and_its_own_login_page(served):
    client = client_without_key(served.client)
    body = {"key": admin_key(), "token": ""}
    for headers in ({}, {"origin": "http://evil.example"}, {"sec-fetch-site": "same-site"}):
        assert sign_in(client, admin_key(), **({"origin": ""} | headers)).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        form = client.post("/login", content=b"key=x", headers=OWN | {"content-type": kind})
        assert form.status_code == 415
    token, cookie = new_token(time.time(), OURS.encode())
    other, _ = new_token(time.time(), OURS.encode())
    old_token, old = new_token(time.time() - 2 * SECONDS, OURS.encode())
    for given, kept in ((token, ""), (other, cookie), ("", cookie), (old_token, old), (token, cookie[:-1])):
        client.cookies.clear()
        client.cookies.set("byline_login", kept)
        response = client.post("/login", json=body | {"token": given}, headers=OWN)
        assert response.status_code == 403
        assert "load /login again" in response.json()["detail"]
    client.cookies.clear()
    client.cookies.set("byline_login", cookie)
    assert client.post("/login", json=body | {"token": token}, headers=OWN).status_code == 204


def test_two_secrets_are_valid_while_one_replaces_the_other(serve, database):
    before = serve(database_url=database.url)
    key = before.key_for(scopes=["read"])
    cookie = {"cookie": session_header(sign_in(client_without_key(before.client), key)).split(";")[0]}
    signed = before.app.state.service.keyring.signing.public.id
    during = serve(database_url=database.url, secret=NEW, second_secret=OURS)
    client = client_without_key(during.client)
    assert client.get("/v1/caller", headers=bearer(key)).status_code == 200
    assert client.get("/v1/caller", headers=cookie).status_code == 200
    keyring = during.app.state.service.keyring
    assert keyring.signing.public.id != signed
    assert signed in keyring.accepted
    during.client.portal.call(write, during.app.state.service)
    after = serve(database_url=database.url, secret=NEW)
    client = client_without_key(after.client)
    assert client.get("/v1/caller", headers=bearer(key)).status_code == 200, "it was used meanwhile"
    assert client.get("/v1/caller", headers=cookie).status_code == 401
    assert client_without_key(before.client).get("/v1/caller", headers=cookie).status_code == 200


def test_an_unused_key_ends_with_its_secret(serve, database):
    key = serve(database_url=database.url).key_for(scopes=["read"])
    after = serve(database_url=database.url, secret=NEW)
    assert client_without_key(after.client).get("/v1/caller", headers=bearer(key)).status_code == 401
