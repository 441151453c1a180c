"""A score by timestep in a real browser: a bar for each band, errors as plus-minus, linked, in both schemes."""

from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

import byline
from byline.recipes import recipe
from byline_service.app import create_app
from tests.byline.tasks.test_denoiser import declared
from tests.service.browser.conftest import broken, serving
from tests.service.fakes import fake_attributor
from tests.service.keys import prepared


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server over an index of a diffusion model, and another.

    Yields:
        Its address.
    """
    chosen = recipe("ekfac", projection={"size": 64})
    images = byline.build(declared(), chosen, tmp_path_factory.mktemp("images"), progress=False)
    app = create_app(
        prepared(tmp_path_factory.mktemp("data"), log_level="error"),
        {"images": images, "texts": fake_attributor()[0]},
    )
    with serving(app) as address:
        yield SimpleNamespace(address=address)


def test_bands_have_bars_and_errors_in_both_schemes(visit):
    page = visit(f"/?{urlencode({'index': 'images', 'k': 2})}")
    page.get_by_text("Options").click()
    page.get_by_label("Pick a query").select_option(index=1)  # the schema's example, a training image
    page.get_by_label("Sets of noise").fill("4")
    page.get_by_role("button", name="Ask", exact=True).click()
    told = page.locator(".card .noise")
    told.first.wait_for()
    assert told.count() == 2
    assert told.first.locator(".bars > div").count() == 2
    assert told.first.locator(".name").all_text_contents() == ["0 to 49", "50 to 99"]
    assert all("±" in text for text in told.first.locator(".value").all_text_contents())
    assert "By timestep" in told.first.inner_text()
    assert "replicates=4" in page.url
    expect(page.get_by_role("button", name="Book as event")).to_be_hidden()
    assert broken(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert broken(page) == []
    page.reload()
    page.locator(".card .noise").first.wait_for()
    expect(page.get_by_label("Sets of noise")).to_have_value("4")


def test_an_index_without_noise_does_not_offer_it(visit):
    page = visit(f"/?{urlencode({'index': 'texts'})}")
    page.get_by_text("Options").click()
    expect(page.get_by_label("Sets of noise")).to_be_hidden()
    page.get_by_label("Index", exact=True).select_option("images")
    expect(page.get_by_label("Sets of noise")).to_be_visible()
