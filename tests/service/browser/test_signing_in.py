"""Signing in and out: with a key that is typed or linked, back to where one was, and not on another site's behalf."""

import http.server
import threading

import pytest
from playwright.sync_api import expect

from byline_service.app import create_app
from tests.service.browser.conftest import serving
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, prepared


def fields(page):
    return page.get_by_label("Key"), page.get_by_role("button", name="Sign in")


def follow(page):
    """Sign in with the key of a link, which alone signs nobody in."""
    expect(page.get_by_role("status")).to_contain_text("only if it is yours")
    page.get_by_role("button", name="Sign in").click()


def test_a_typed_key_leads_back_to_the_page_that_asked_for_it(visit):
    page = visit("/indexes/fake", signed_in=False)
    assert page.url.endswith("/login?next=%2Findexes%2Ffake")
    key, button = fields(page)
    key.fill("byl_nothing")
    button.click()
    expect(page.get_by_role("status")).to_contain_text("key")
    key.fill(admin_key())
    button.click()
    page.wait_for_url("**/indexes/fake")
    assert page.get_by_text("tester").is_visible()


def test_a_linked_key_never_reaches_the_server_and_signing_out_ends_the_session(visit, served):
    page = visit(f"/login#key={admin_key()}", signed_in=False)
    follow(page)
    page.wait_for_url(f"{served.address}/")
    assert page.evaluate("document.cookie") == "", "scripts must not read the session"
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto("/indexes")
    assert "/login" in page.url


@pytest.mark.parametrize(
    "next_one",
    [
        "//example.org/",
        "/.//example.org/",
        "/%5Cexample.org",
        "javascript:alert(1)",
        "http://[",
        "https://example.org/",
    ],
)
def test_only_addresses_of_this_service_are_gone_back_to(visit, served, next_one):
    page = visit(f"/login?next={next_one}#key={admin_key()}", signed_in=False)
    follow(page)
    page.wait_for_url(lambda url: "/login" not in url)
    assert page.url.startswith(f"{served.address}/")


@pytest.fixture
def elsewhere():
    """A page of another origin on the same machine: browsers send it cookies of the same site.

    Yields:
        Its address.
    """

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_site_cannot_act_in_ones_name(browser, served, elsewhere):
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{served.address}/login#key={admin_key()}")
        follow(page)
        page.wait_for_url(f"{served.address}/")
        page.goto(elsewhere)
        with page.expect_event("requestfailed") as refused:  # what answers it is kept from the other site
            page.evaluate(
                "url => fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors'}).catch(() => null)",
                f"{served.address}/logout",
            )
        assert refused.value.url == f"{served.address}/logout"
        page.goto(f"{served.address}/indexes")
        assert page.get_by_role("button", name="Sign out").is_visible()
    finally:
        context.close()


def test_pages_offer_what_the_key_allows(visit, served):
    reader = visit("/", key=served.key_for(scopes=["read"]))
    assert reader.get_by_role("button", name="Ask").is_disabled()
    assert reader.get_by_text("it does not have the scope query").is_visible()
    asker = visit("/indexes", key=served.key_for(scopes=["query"]))
    expect(asker.get_by_role("heading", level=1)).to_have_text("Forbidden")
    assert asker.get_by_role("navigation").get_by_role("link").all_inner_texts() == ["API"]


def test_a_link_moves_nobody_to_another_key(visit, served):
    page = visit(f"/login#key={served.key_for(scopes=['read'], person='mallory')}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed in")
    assert page.get_by_label("Key").count() == 0
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(f"{served.address}/")
    assert page.get_by_role("banner").get_by_text("tester").is_visible()


def test_over_https_and_on_loopback_the_session_has_the_host_prefix(browser, tmp_path):
    """A proxy ends TLS; Chromium takes the prefix on loopback, too."""
    settings = prepared(tmp_path, log_level="error", secure_cookies=True)
    with serving(create_app(settings, {"fake": fake_attributor()[0]})) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{address}/login#key={admin_key()}")
        follow(page)
        page.wait_for_url(f"{address}/")
        kept = {each["name"]: each for each in context.cookies()}
        assert list(kept) == ["__Host-byline_session"]
        session = kept["__Host-byline_session"]
        assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Strict")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")
        assert "__Host-byline_session" not in {each["name"] for each in context.cookies()}
        context.add_cookies([session])
        page.goto(f"{address}/indexes")
        assert "/login" in page.url, "a copy of the cookie"
        context.close()
