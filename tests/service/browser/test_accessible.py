"""Every page with data, in both schemes and on a narrow screen: axe finds nothing, and nothing sticks out."""

import json
from urllib.parse import quote

import pytest

from tests.service.browser.conftest import broken

PAGES = {
    "ask": "/",
    "answer": f"/?index=fake&k=3&direction=both&query={quote(json.dumps({'text': 'hello'}))}",
    "indexes": "/indexes",
    "index": "/indexes/fake",
    "docs": "/docs",
    "login": "/login",
    "compensation": "/compensation",
    "usage": "/usage",
    "error": "/indexes/another",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_either_scheme_and_at_any_width(visit, name):
    page = visit(PAGES[name])
    if name == "answer":
        page.locator(".card").first.wait_for()
    # Some of them: the API's page has a hundred that are alike.
    page.evaluate(
        "[...document.querySelectorAll('details')].slice(0, 8).forEach((each) => { each.open = true; })"
    )
    assert broken(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert broken(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_moves_while_a_page_loads(visit):
    page = visit(PAGES["answer"])
    page.locator(".card").first.wait_for()
    shift = """new Promise((resolve) => new PerformanceObserver((list) => resolve(
        list.getEntries().filter((e) => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0)
    )).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => resolve(0), 300))"""
    assert page.evaluate(shift) < 0.1  # what browsers call good
