"""A real browser on a real server: one of each for a file of tests."""

import asyncio
import os
import shutil
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from byline.api.blend import Blend
from byline.index.blend import write_blend
from byline_service.app import create_app
from byline_service.database import Database
from byline_service.database.engine import sqlite_url
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, make_key, prepared, session_cookie
from tests.service.test_quality_card import CARD

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
]
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective: what, blockedURI: which }) => {
  window.violations.push(`${what} ${which}`);
});
"""


@contextmanager
def serving(app):
    """Serve an application on a free port, in a thread.

    Yields:
        Its address.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the tests of a file; without one they are skipped, but never where CI runs them.

    Yields:
        The browser.
    """
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("expected Chromium where CI runs: install the package chromium")
        pytest.skip("no Chromium on this machine: install the package chromium")
    admin_key()  # made once, in a loop of its own
    # Not longer than a file: Playwright keeps an event loop running in this thread, where other tests want their own.
    expect.set_options(timeout=20_000)  # busy machines are slow, not wrong
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server over a fake index.

    Yields:
        Its address, and the featurizer that can be held up.
    """
    attributor, featurizer = fake_attributor(card=CARD)
    attributor.index.path = tmp_path_factory.mktemp("index") / attributor.index.version
    write_blend(attributor.index.path, Blend(baseline="bm25", weight=0.5))
    settings = prepared(tmp_path_factory.mktemp("data"), log_level="error", baselines="bm25,blend")
    app = create_app(settings, {"fake": attributor})
    with serving(app) as address:
        yield SimpleNamespace(
            address=address,
            featurizer=featurizer,
            index=attributor.index,
            app=app,
            key_for=lambda **wanted: elsewhere_run(new_key(settings, wanted)),
        )


def elsewhere_run(coroutine):
    """Run a coroutine in a thread of its own: this one's loop is Playwright's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result(20)


async def new_key(settings, wanted):
    database = Database(sqlite_url(settings.data_dir / "byline.sqlite"))
    try:
        return await make_key(database, **wanted)
    finally:
        await database.dispose()


@pytest.fixture(scope="module")
def address(served):
    return served.address


@pytest.fixture
def visit(browser, address):
    """Opens pages, signed in with a key or as admin, and holds each to the policy: nothing blocked, nothing from elsewhere.

    Yields:
        The function that opens one: `visit(path, scheme="dark", width=360, key=None, signed_in=True)`.
    """
    contexts, pages, mistakes = [], [], []

    def open_page(path, *, scheme="light", width=1280, key=None, signed_in=True):
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}, base_url=address
        )
        contexts.append(context)
        if signed_in:
            context.add_cookies([session_cookie(address, key)])
        context.add_init_script(WATCH)
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.on(
            "console",
            lambda said: mistakes.append(said.text) if "Content Security Policy" in said.text else None,
        )
        page.on("request", lambda sent: mistakes.append(sent.url) if elsewhere(sent.url, address) else None)
        page.goto(path)
        return page

    yield open_page
    violations = [each for page in pages for each in page.evaluate("window.violations ?? []")]
    for context in contexts:
        context.close()
    assert mistakes + violations == []


def elsewhere(url, address):
    """Whether a request leaves the server; what the browser makes itself does not."""
    return not url.startswith((f"{address}/", "blob:", "data:"))


def call(served, method, path, body=None):
    """Ask the API with the admin's key, once."""
    headers = {**bearer(admin_key()), "Idempotency-Key": uuid.uuid4().hex}
    response = httpx.request(method, served.address + path, json=body, headers=headers, timeout=20)
    assert response.is_success, response.text
    return response.json()


def broken(page):
    """What axe finds on a page, with the beginnings of the elements."""
    found = Axe().run(page).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found]
