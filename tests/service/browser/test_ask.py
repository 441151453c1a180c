"""Asking in a real browser: what is untrusted stays text, a keyboard is enough, and problems are sentences."""

import csv
import json
import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from byline.index.quality_card import CardReading
from tests.service.browser.conftest import broken
from tests.service.test_quality_card import RIVALED


def asked(**parameters):
    if "query" in parameters:
        parameters["query"] = json.dumps(parameters["query"])
    return f"/?{urlencode(parameters)}"


def test_a_linked_query_is_answered_and_untrusted_text_stays_text(visit):
    page = visit(asked(index="fake", query={"text": "<img src=x onerror=alert(1)>"}, k=4))
    expect(page.get_by_role("status")).to_have_text("4 training points found.")
    assert page.locator(".card").count() == 4
    assert "<script>alert(" in page.locator(".card").first.inner_text()
    assert page.locator("main script, main img:not(.thumbnail[src^='/v1/indexes/fake/images/'])").count() == 0
    assert "Measured: LDS <b> .50 (.46 to .53), 100 queries" in page.locator(".trust").inner_text()
    page.goto(page.url.replace("target=loss", "target=margin"))
    page.locator(".card").first.wait_for()
    assert "The target margin is not measured" in page.locator(".trust").inner_text()
    assert page.locator(".card a").first.get_attribute("href").startswith("https://example.org/")


def test_a_baseline_that_is_as_good_is_told(visit, served, monkeypatch):
    monkeypatch.setattr(served.index, "quality", CardReading(RIVALED))
    page = visit(asked(index="fake", query={"text": "hello"}))
    page.locator(".card").first.wait_for()
    trust = page.locator(".trust").inner_text()
    assert "Not better than BM25 here" in trust
    assert "leave-one-owner-out .50 (.46 to .53), 100 queries; not better than BM25" in trust


def test_scores_come_with_their_intervals_and_what_they_are_worth(visit, served):
    page = visit(asked(index="fake", query={"text": "hello"}))
    page.locator(".card").first.wait_for()
    assert re.fullmatch(r"[\d.,]+ \(\S+ to \S+\)", page.locator(".card .score").first.inner_text())
    trust = page.locator(".trust").inner_text()
    assert re.search(r"95 % intervals, from \d adapters or dropout masks of one model", trust)
    assert re.search(r"The best scores are too high.*since they were chosen as the largest", trust, re.DOTALL)
    drawn = page.locator(".card .whisker").first.get_attribute("d")
    low, high = (float(each) for each in re.match(r"M(\S+) 6H(\S+?)M", drawn).groups())
    assert 1 <= low < high <= 199


def test_shares_are_a_chart_a_table_and_a_file(visit):
    page = visit(asked(index="fake", query={"text": "hello"}))
    section = page.get_by_role("region", name="Owners\u2019 shares", exact=True)
    section.locator(".bars > div").first.wait_for()
    section.get_by_text("Show as a table").click()
    rows = section.locator("tbody tr")
    with page.expect_download() as started:
        section.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename == "fake-shares.csv"
    written = list(csv.reader(started.value.path().read_text().splitlines()))
    assert written[0][:5] == ["owner", "share", "share_standard_error", "share_low", "share_high"]
    assert [row[0] for row in written[1:]] == [
        rows.nth(i).locator("th").inner_text() for i in range(rows.count())
    ]
    assert sum(float(row[1]) for row in written[1:]) == pytest.approx(1)


def test_problems_are_shown_as_sentences(visit):
    page = visit(asked(index="fake", query={"text": ""}))
    expected = "Expected a valid query: text: expected text of at least 1 character"
    expect(page.get_by_role("status")).to_contain_text(expected)
    assert page.locator(".card").count() == 0


def test_a_linked_ranking_by_similarity_is_named_as_such(visit):
    page = visit(asked(index="fake", query={"text": "hello number 7"}, k=4, baseline="bm25"))
    expect(page.get_by_text("Ranked by similarity (BM25), not by influence")).to_be_visible()
    assert page.get_by_role("heading", name="Most similar").is_visible()
    assert page.get_by_role("heading", name="Owners\u2019 shares").count() == 0
    page = visit(asked(index="fake", query={"text": "hello"}, baseline="representation"))
    expect(page.get_by_role("status")).to_have_text("This index does not offer the ranking in this address.")
    assert page.locator(".card").count() == 0


def test_a_blend_is_chosen_by_its_name_and_called_no_attribution_by_gradients_alone(visit):
    page = visit(asked(index="fake", query={"text": "hello number 7"}, k=4))
    page.locator(".card").first.wait_for()
    page.locator("#more summary").click()
    page.get_by_label("Ranked by").select_option(label="blend of influence and similarity")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text(re.compile(r"Ranked by influence \+ 0\.5 . BM25, as z-scores"))).to_be_visible()
    assert "It is no attribution by gradients alone" in page.locator(".trust").inner_text()
    assert page.get_by_role("heading", name="Highest blend").is_visible()
    assert page.get_by_role("heading", name="Owners\u2019 shares").count() == 0
    assert page.locator("#book:visible").count() == 0
    assert page.locator(".card").count() == 4


def test_a_keyboard_is_enough_to_ask(visit):
    page = visit("/")
    page.locator("#query-text").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    while "ask" not in seen:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
        assert len(seen) < 20, f"the button is not reached: {seen}"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if seen[-1] == "query-text":
            page.keyboard.type("hello")
    assert seen[0] == "index"
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    reached = set()
    for _ in range(60):  # through the answer and round: nothing holds the focus
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('.card, figure, .bar')?.className ?? ''"))
    assert {"card", "chart", "bar"} <= reached


def test_a_query_can_be_picked(visit):
    page = visit("/")
    page.get_by_label("Pick a query").select_option(index=1)
    expect(page.get_by_label("Text")).to_have_value("hello")
    page.get_by_role("button", name="Ask").click()
    page.locator(".card").first.wait_for()
    assert "index=fake" in page.url


def test_the_colors_can_be_chosen_and_stay(visit):
    page = visit("/", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Change to light").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light
    page.get_by_role("button", name="Change to dark").click()
    assert page.evaluate(ground) == dark


def test_a_long_answer_says_how_far_it_is_and_can_be_cancelled(visit, served):
    served.featurizer.gate.clear()
    try:
        page = visit(asked(index="fake", query={"text": "hello"}))
        expect(page.locator("#step")).to_contain_text("…")
        assert page.locator("#progress rect").count() == 2
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("status")).to_have_text("Canceled.")
        assert page.evaluate("document.activeElement.id") == "ask"
        assert page.locator("#answer[aria-busy]").count() == 0
    finally:
        served.featurizer.gate.set()
    page.get_by_role("button", name="Ask").click()
    page.locator(".card").first.wait_for()
    assert page.get_by_role("button", name="Cancel").count() == 0


@pytest.mark.slow
def test_the_button_lies_below_the_fields_and_covers_none(visit):
    page = visit("/")
    page.set_viewport_size({"width": 1280, "height": 500})
    page.get_by_text("Options").click()
    page.locator("#filters summary").click()
    fields, button = page.locator(".asked").bounding_box(), page.locator("#ask").bounding_box()
    assert fields["y"] + fields["height"] <= button["y"]
    assert button["y"] + button["height"] <= 500, "it is in sight however many fields there are"
    page.get_by_label("Owner").focus()
    owner = page.get_by_label("Owner").bounding_box()
    assert owner["y"] + owner["height"] <= button["y"], "what has the focus is scrolled into sight"


def test_an_answer_is_recorded_filtered_exported_and_outlives_an_error(visit):
    page = visit(asked(index="fake", query={"text": "hello script"}, k=3, direction="both", label="odd"))
    cards = page.locator(".card")
    cards.first.wait_for()
    assert cards.count() == 6
    assert set(page.locator(".card .tag.label").all_text_contents()) == {"odd"}
    assert cards.first.locator(".beside .side").count() == 2
    assert "script" in cards.first.locator(".beside mark").all_text_contents(), "the shared word is marked"
    ticks = page.locator(".axis-values").evaluate_all("(all) => all.map((each) => each.innerText)")
    assert len(set(ticks)) == 1, "one scale for both ends"
    cards.first.locator(".scored").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_contain_text("standard error")
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()
    page.get_by_role("button", name="Score by member").click()
    page.locator(".card .members").first.wait_for()
    page.locator("#exports summary").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="JSON").click()
    given = json.loads(started.value.path().read_text())
    assert len(given["proponents"]) == 3
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as Python").click()
    code = page.evaluate("navigator.clipboard.readText()")
    compile(code, "copied", "exec")
    assert 'os.environ["BYLINE_KEY"]' in code
    assert 'filter={"label": ["odd"]}' in code
    page.get_by_label("Text").fill("")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#query-text ~ .fault")).to_contain_text("xpected text of at least 1 character")
    assert page.get_by_label("Text").get_attribute("aria-invalid") == "true"
    assert cards.count() == 6, "the answer of before stays"
    assert broken(page) == []
    page.get_by_role("button", name="Record answer").click()
    page.wait_for_url("**/answers/*")
    cards.first.wait_for()
    shown = page.locator(".card .score").all_text_contents()
    page.reload()
    cards.first.wait_for()
    assert page.locator(".card .score").all_text_contents() == shown
    assert given["version"] in page.locator("main").inner_text()
    page.get_by_role("button", name="scores").click()
    expect(page.locator("#term-score")).to_be_visible()
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    assert broken(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
