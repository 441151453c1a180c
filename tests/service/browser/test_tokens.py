"""A score word by word in a real browser: shaded, named with numbers, linked, in both schemes."""

import json
import struct
import zlib
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import torch
from playwright.sync_api import expect

import byline
from byline.recipes import recipe
from byline.task import Checkpoint
from byline.tasks import TrainedModel, TrainingData, image_classification
from byline_service.app import create_app
from tests.byline.features import words
from tests.service.browser.conftest import broken, serving
from tests.service.keys import prepared

GRAD_DOT = recipe("grad_dot", projection={"size": 64})
QUERY = {"words": ["the", "cat", "sat", "on", "a", "mat"]}


def images_task(name="images"):
    torch.manual_seed(0)

    numbers = torch.rand if name == "pixels" else torch.randn  # between black and white, or normalized

    def network():
        return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(48, 2))

    trained = TrainedModel(
        name=name,
        model=network,
        checkpoints=[Checkpoint(weights=network().state_dict())],
        data=TrainingData.from_arrays(numbers(20, 1, 6, 6), torch.arange(20) % 2),
    )
    return image_classification(trained, classes=["a", "b"])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server over an index of words.

    Yields:
        Its address.
    """
    index = byline.build(
        words.task(),
        GRAD_DOT,
        tmp_path_factory.mktemp("words"),
        progress=False,
    )
    images = byline.build(images_task(), GRAD_DOT, tmp_path_factory.mktemp("images"), progress=False)
    pixels = byline.build(images_task("pixels"), GRAD_DOT, tmp_path_factory.mktemp("pixels"), progress=False)
    app = create_app(
        prepared(tmp_path_factory.mktemp("data"), log_level="error"),
        {"words": index, "images": images, "pixels": pixels},
    )
    with serving(app) as address:
        yield SimpleNamespace(address=address)


def test_words_are_shaded_and_named_in_both_schemes(visit):
    page = visit(f"/?{urlencode({'index': 'words', 'query': json.dumps(QUERY), 'k': 2})}")
    page.locator(".card").first.wait_for()
    assert page.locator(".tokens").count() == 0
    page.get_by_text("Options").click()
    page.get_by_label("Word by word").check()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".card .tokens").first.wait_for()
    assert page.locator(".card").first.locator(".tokens").count() == 2
    query = page.locator(".card .tokens").first
    assert query.inner_text() == "the cat sat on a mat"
    shaded = query.locator("span[class]")
    assert shaded.count() >= 1
    assert shaded.first.evaluate("(node) => getComputedStyle(node).backgroundColor") != "rgba(0, 0, 0, 0)"
    named = page.locator(".card .strongest").first.locator("li")
    assert named.count() >= 2
    assert any(sign in named.first.inner_text() for sign in "+-\u2212")
    assert "tokens=true" in page.url
    assert broken(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert broken(page) == []
    page.reload()
    page.locator(".card .tokens").first.wait_for()
    expect(page.get_by_role("status")).to_have_text("2 training points found.")


def test_images_are_told_patch_by_patch(visit):
    query = {"image": [[float(row == column) for column in range(6)] for row in range(6)], "label": "a"}
    asked = urlencode({"index": "images", "query": json.dumps(query), "k": 1, "tokens": "true"})
    page = visit(f"/?{asked}")
    page.locator(".card .patches").first.wait_for()
    assert page.locator(".card .patches").count() == 2
    assert page.locator(".card .patches").first.locator("rect").count() == 36
    signs = page.locator(".card .patches").first.locator("text").all_text_contents()
    assert {"+", "\u2212"} & set(signs)
    assert "In no patch:" in page.locator(".card").inner_text()
    assert broken(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    assert broken(page) == []


def black_png(size):
    """A black square as a PNG file."""
    rows = zlib.compress(b"".join(b"\0" + bytes(size) for _ in range(size)))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_a_file_becomes_the_numbers_of_a_query(visit, tmp_path):
    picture = tmp_path / "black.png"
    picture.write_bytes(black_png(60))
    page = visit(f"/?{urlencode({'index': 'pixels'})}")
    page.get_by_label("Choose a file").set_input_files(picture)
    expect(page.locator(".drawn canvas")).to_be_visible()
    numbers = json.loads(page.locator("#query-image").input_value())
    assert numbers == [[0.0] * 6] * 6
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".card .beside canvas").first.wait_for()
    assert broken(page) == []
