"""Browsers: signing in and out, the cookie, and requests that other sites send them to make."""

import time

import pytest

from byline.errors import Unauthorized
from byline_service.accounts.sessions import COOKIE, SECONDS, read_session, write_session
from tests.service.conftest import client_without_key
from tests.service.keys import admin_key

SECRET = b"s" * 32
OWN = {"origin": "http://localhost"}
ASK, QUERY = "/v1/indexes/fake/attributions", {"query": {"text": "hello"}}


def test_a_cookie_is_read_back_until_it_ends():
    cookie = write_session("k" * 12, 1000.0, SECRET)
    assert read_session(cookie, 1000.0 + SECONDS - 1, SECRET) == "k" * 12
    for wrong in (cookie[:-1], "x" + cookie[1:], "", ".", "a.b", cookie + ".", "ä.ä", cookie.split(".")[0]):
        with pytest.raises(Unauthorized):
            read_session(wrong, 1000.0, SECRET)
    for now, secret in ((1000.0 + SECONDS, SECRET), (1000.0, b"t" * 32)):
        with pytest.raises(Unauthorized):
            read_session(cookie, now, secret)


@pytest.fixture
def browser(served):
    client = client_without_key(served.client)
    response = client.post("/login", json={"key": admin_key()}, headers=OWN)
    assert response.status_code == 204
    return client


def test_the_cookie_is_for_this_site_and_no_script(served):
    client = client_without_key(served.client)
    cookie = client.post("/login", json={"key": admin_key()}).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SECONDS}"} <= set(cookie.split("; "))
    assert admin_key()[16:] not in cookie
    assert "Secure" not in cookie


def test_a_cookie_is_sent_over_https_alone_where_that_is_set(serve):
    client = client_without_key(serve(secure_cookies=True).client)
    assert "; Secure" in client.post("/login", json={"key": admin_key()}).headers["set-cookie"]


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
    browser.post("/login", json={"key": key}, headers=OWN)
    own = browser.get("/v1/caller").json()["id"]
    assert own != key_id
    assert served.client.delete(f"/v1/keys/{own}").status_code == 204
    assert browser.get("/v1/caller").status_code == 401


def test_a_key_in_the_header_wins_over_the_cookie(browser):
    assert browser.get("/v1/caller", headers={"authorization": "Bearer nothing"}).status_code == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"key": 1}', b'{"key": NaN}', b"[" * 1_000])
def test_broken_bodies_at_the_login(served, body):
    response = client_without_key(served.client).post(
        "/login", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 422


def test_a_wrong_key_signs_nobody_in(served):
    client = client_without_key(served.client)
    response = client.post("/login", json={"key": "byl_" + "0" * 50})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    client.cookies.set(COOKIE, write_session("0" * 12, time.time(), b"x" * 32))
    assert client.get("/v1/caller").status_code == 401


def test_a_session_from_a_clock_that_was_far_ahead_is_over():
    year = 365 * 24 * 3600
    for ahead, valid in ((3600, True), (SECONDS, True), (year, False)):
        cookie = write_session("k" * 12, 1e9 + ahead, SECRET)
        if valid:
            assert read_session(cookie, 1e9, SECRET) == "k" * 12
        else:
            with pytest.raises(Unauthorized):
                read_session(cookie, 1e9, SECRET)
