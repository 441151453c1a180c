"""From an answer to a posted statement, with buttons alone; and what each person is offered on the way."""

import pytest
from playwright.sync_api import expect

from tests.service.browser.conftest import broken, call
from tests.service.ledger_clock import LedgerClock


@pytest.fixture(scope="module")
def ledger_clock():
    """The journal's clock, in March 2026.

    Yields:
        The clock.
    """
    with pytest.MonkeyPatch.context() as patched:
        yield LedgerClock(patched)


@pytest.fixture(scope="module")
def people(served, ledger_clock):
    """A policy, and keys of two persons and of an owner."""
    call(
        served,
        "POST",
        "/v1/policies",
        {"name": "answers", "currency": "EUR", "pool": 100_000, "allow_within_checkpoint": True},
    )
    return {
        "ada": served.key_for(scopes=["query", "read", "compensate", "approve"], person="ada"),
        "grace": served.key_for(scopes=["read", "approve"], person="grace"),
        "owner": served.key_for(scopes=["read"], owners=["owner 1"], person="owner 1"),
    }


def agree(page, name):
    """Press the button of the dialog that asks."""
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()


def test_an_answer_becomes_a_posted_statement(visit, people, served, ledger_clock):
    page = visit("/?index=fake&query=%7B%22text%22%3A%22hello%22%7D", key=people["ada"])
    page.get_by_role("button", name="Book as event").click()
    agree(page, "Book")
    expect(page.get_by_role("status").first).to_contain_text("Booked as event")
    ledger_clock.end_month()

    page.goto("/compensation")
    page.get_by_role("button", name="Draft a run").click()
    agree(page, "Draft")
    page.wait_for_url("**/compensation/runs/*")
    approve = page.get_by_role("button", name="Approve")
    assert approve.is_disabled()
    assert page.get_by_text("You drafted this run. Another person must approve it.").is_visible()

    other = visit(page.url.removeprefix(served.address), key=people["grace"])
    other.get_by_role("button", name="Approve").click()
    agree(other, "Approve")
    expect(other.locator("h1")).to_contain_text("approved")  # the page was loaded again
    other.wait_for_load_state()  # its buttons work then
    other.get_by_role("button", name="Post").click()
    agree(other, "Post")
    expect(other.locator("h1")).to_contain_text("posted")

    other.goto("/compensation")
    assert other.locator(".bars .name").first.inner_text().startswith("owner ")
    other.goto("/compensation/ledger")
    assert other.get_by_text("All accounts add up to zero").is_visible()
    other.get_by_role("button", name="Verify everything now").click()
    expect(other.locator("#verified")).to_contain_text("agree, to the byte")

    own = visit("/", key=people["owner"])
    assert own.url.endswith("/compensation"), "an owner begins with the statements"
    assert set(own.get_by_role("navigation").first.get_by_role("link").all_inner_texts()) == {
        "Compensation",
        "API",
    }
    text = own.locator("main").inner_text()
    assert "owner 0" not in text
    assert "owner 2" not in text
    for button in ("Draft a run", "Release escrow"):
        assert own.get_by_role("button", name=button).count() == 0


def test_what_fails_is_said_in_the_dialog_and_can_be_cancelled(visit, people):
    page = visit("/compensation", key=people["ada"])
    page.get_by_role("button", name="Draft a run").click()
    page.get_by_role("textbox", name="Period").fill("2001-01")
    agree(page, "Draft")
    expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("Expected events in the period")
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Draft a run", "focus goes back"


def test_axe_finds_nothing_on_pages_with_data(visit, served):
    run = call(served, "GET", "/v1/statements")["data"][0]["id"]
    for path in (
        "/compensation",
        f"/compensation/runs/{run}",
        "/compensation/ledger",
        f"/v1/statements/{run}/print",
    ):
        page = visit(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert broken(page) == []
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 360, "height": 800})
        assert broken(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
