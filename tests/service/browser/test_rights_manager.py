"""A rights manager with a browser alone: a policy, a draft with its preview, a release, a hold and a key."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from tests.service.browser.conftest import broken, serving
from tests.service.office import keep, opened


def three_months(books):
    runs = keep(books)
    books.book({"Ana & Söhne": (4, 5, 4), "owner 1": (2, 2, 3)}, index="fake")
    books.clock.end_month()
    return runs


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The office, with unpaid events of May, behind a real socket.

    Yields:
        Its address and runs, and the keys of three persons.
    """
    with ThreadPoolExecutor(1) as pool:  # Playwright's loop runs in this thread: the books have another one
        office = opened(tmp_path_factory.mktemp("office") / "data", three_months)
        found = pool.submit(office.__enter__).result(60)
        keys = {
            "ada": ["read", "compensate"],
            "grace": ["approve"],
            "root": ["admin"],
        }
        made = {
            person: pool.submit(found.key_for, scopes=scopes, person=person).result(20)
            for person, scopes in keys.items()
        }
        with serving(found.app) as address:
            yield SimpleNamespace(address=address, runs=found.runs, keys=made)
        pool.submit(office.__exit__, None, None, None).result(20)


def within(page):
    return page.get_by_role("dialog")


def test_a_draft_is_seen_before_it_is_made(visit, served):
    page = visit("/compensation", key=served.keys["ada"], width=1440)
    page.get_by_role("button", name="Draft a run").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("1 unpaid events")
    expect(preview).to_contain_text("2026-05-01 to 2026-05-31, both days included")
    within(page).get_by_role("button", name="March 2026").click()
    expect(preview).to_contain_text("paid")
    within(page).get_by_role("button", name="May 2026").click()
    expect(preview).to_contain_text("1 unpaid events")
    within(page).get_by_role("button", name="Draft", exact=True).click()
    page.wait_for_url("**/compensation/runs/*")
    expect(page.locator("h1")).to_contain_text("May 2026")
    assert page.get_by_text("Change from March 2026").is_visible()


def test_a_part_of_an_escrow_is_released(visit, served):
    page = visit("/compensation/owner?owner=Ana+%26+S%C3%B6hne", key=served.keys["ada"], width=390)
    page.get_by_role("button", name="Release escrow").click()
    within(page).get_by_role("textbox", name="Amount").fill("10,505")
    within(page).get_by_role("textbox", name="Reason").fill("an agreement")
    within(page).get_by_role("button", name="Draft").click()
    expect(within(page).get_by_role("status")).to_contain_text("at most 2 decimals")
    within(page).get_by_role("textbox", name="Amount").fill("10,50")
    within(page).get_by_role("button", name="Draft").click()
    page.wait_for_url("**/compensation/runs/*")
    expect(page.locator("h1")).to_contain_text("Release of escrow")
    assert page.locator('main data[value="10.50"]').count() > 0


def test_a_policy_is_revised_and_the_change_is_told(visit, served):
    page = visit("/compensation/policies", key=served.keys["root"], width=1440)
    page.get_by_role("button", name="Revise", exact=True).click()
    within(page).get_by_role("textbox", name="Carry amounts below").fill("5")
    within(page).get_by_role("button", name="Revise").click()
    expect(page.locator("h1")).to_contain_text("Policy royalties")
    expect(page.locator(".revisions ins")).to_contain_text("Amounts below 5.00 EUR are carried")
    assert page.get_by_text("Before: Amounts below 60.00 EUR").is_visible()


def test_a_hold_is_placed_and_ended(visit, served):
    page = visit("/compensation/holds", key=served.keys["root"], width=1440)
    page.get_by_role("button", name="Place a hold").click()
    within(page).get_by_role("textbox", name="Owner").fill("owner 1")
    within(page).get_by_role("textbox", name="Reason").fill("two estates")
    within(page).get_by_role("button", name="Place").click()
    end = page.get_by_role("button", name="End the hold of owner 1")
    expect(end).to_be_visible()
    page.wait_for_load_state()  # the buttons of a page that is loaded again wait for its modules
    end.click()
    within(page).get_by_role("textbox", name="Reason").fill("they agreed")
    within(page).get_by_role("button", name="End").click()
    expect(page.locator("tbody")).to_contain_text("they agreed")


def test_wrong_lines_of_consents_stand_at_the_file_and_a_corrected_file_is_imported(visit, served):
    head = "owner;index;work;version;status;since;source"
    page = visit("/compensation/consents", key=served.keys["ada"], width=390)
    page.get_by_role("button", name="Import a CSV").click()
    file = within(page).get_by_label("CSV file")

    def send(*lines):
        text = "\r\n".join((head, *lines)).encode("utf-8-sig")
        file.set_input_files({"name": "c.csv", "mimeType": "text/csv", "buffer": text})
        within(page).get_by_role("button", name="Import").click()

    send("owner 1;fake;;;allowed;2026-03-01;letter", "", "owner 2;fake;;;never;2026-03-01;letter")
    expect(file).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#consents-file-fault")).to_contain_text("Line 4: status: expected")
    send('owner 1;fake;;;prohibited;2026-03-01;"a ""letter""; of March"')
    expect(page.locator("tbody")).to_contain_text('a "letter"; of March')


def test_a_key_is_shown_once(visit, served):
    page = visit("/compensation/keys", key=served.keys["root"], width=1440)
    page.get_by_role("button", name="Make a key").click()
    within(page).get_by_role("textbox", name="Person").fill("ash")
    within(page).get_by_role("textbox", name="Purpose").fill("statements")
    within(page).get_by_role("button", name="Make").click()
    shown = page.locator("#made-key")
    shown.wait_for()
    key = shown.input_value()
    assert key.startswith("byl_")
    page.get_by_role("button", name="I have it").click()
    page.wait_for_load_state()
    expect(page.locator("tbody")).to_contain_text("ash")
    assert key not in page.content()


def test_axe_finds_nothing_on_any_of_these_pages(visit, served):
    page = visit("/compensation/owners", key=served.keys["root"], width=1440)
    for path in (
        "/compensation/owners",
        "/compensation/owner?owner=owner+1",
        "/compensation/compare",
        "/compensation/policies",
        "/compensation/parties",
        "/compensation/rights",
        "/compensation/consents",
        "/compensation/holds",
        "/compensation/payouts",
        "/compensation/keys",
        "/compensation/audit",
        f"/compensation/runs/{served.runs.april}",
        f"/compensation/runs/{served.runs.march}/owners/owner%201",
    ):
        page.goto(path)
        for scheme, width in (("light", 1440), ("dark", 390)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            assert broken(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
