"""The Index pages say what the API says."""

import csv
import io

import pytest

from tests.service.fakes import fake_attributor
from tests.service.test_quality_card import CARD, RIVALED


@pytest.fixture
def pages(serve):
    return serve({"fake": fake_attributor(card=CARD)[0]}).client


def test_the_list_names_every_index_and_what_was_measured(pages):
    text = pages.get("/indexes").text
    assert 'href="/indexes/fake"' in text
    assert "LDS &lt;b&gt; .50 (.46 to .53), 100 queries" in text


def test_an_index_shows_its_card_owners_licenses_and_recipe(pages):
    text = pages.get("/indexes/fake").text
    for part in (
        "LDS &lt;b&gt;",
        "Better than chance",
        "reach .90",
        "owner 0",
        "MIT",
        "f" * 64,
        "0123456789ab",
    ):
        assert part in text
    assert "&lt;script&gt;alert(" in text
    assert "<script>alert(" not in text


def test_an_index_shows_whether_gradients_earn_their_cost(serve):
    client = serve({"fake": fake_attributor(card=RIVALED)[0]}).client
    text = client.get("/indexes/fake").text
    assert "Not better than BM25 here, which reaches .52 without gradients." in text
    assert "Better than representation similarity here, which reaches .20 without gradients." in text
    assert "rank the effect of each owner" in text
    figures = "BM25 .52 (.48 to .55); representation similarity .20 (.10 to .30)"
    assert figures in text
    rows = list(csv.reader(io.StringIO(client.get("/indexes/fake/quality.csv").text)))
    assert [row[-1] for row in rows] == ["baselines", "", figures]


def test_self_influence_is_paged_by_key(pages):
    first = pages.get("/indexes/fake").text
    path = first.split('rel="next"')[0].rsplit('href="', 1)[1].split("#")[0].replace("&amp;", "&")
    second = pages.get(path).text
    assert 'start="9"' in second
    listed = pages.get("/v1/indexes/fake/self-influence?limit=16").json()["data"]
    for each in listed[:8]:
        assert f">{each['example']['id']}<" in first
    for each in listed[8:]:
        assert f">{each['example']['id']}<" in second


def test_without_a_card_nothing_is_claimed(served):
    assert "This version is not measured yet" in served.client.get("/indexes/fake").text


def test_files_have_what_the_charts_show(pages):
    def read(name):
        response = pages.get(f"/indexes/fake/{name}.csv")
        assert response.headers["content-type"].startswith("text/csv")
        return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))

    assert read("owners")[1] == ["owner 0", "67", "MIT"]
    assert read("licenses") == [["license", "examples"], ["MIT", "200"]]
    assert read("quality")[1][:5] == ["lds", "LDS <b>", "0.5", "0.46", "0.53"]
    assert len(read("self-influence")) == 201


def test_failures_are_pages_and_never_repeat_what_was_sent(pages):
    for path, status in (
        ("/indexes/another", 404),
        ("/indexes/fake?after=xyzzy", 422),
        ("/indexes/fake?from=xyzzy", 422),
    ):
        response = pages.get(path)
        assert response.status_code == status
        assert response.headers["content-type"].startswith("text/html")
        assert "xyzzy" not in response.text
        assert "another" not in response.text.replace("another name", "")


def test_coverage_sums_up_whose_work_it_is(pages):
    assert pages.get("/v1/indexes/fake/coverage").json() == {
        "rows": 200,
        "with_owner": 200,
        "without_owner": 0,
        "licenses": [{"license": "MIT", "examples": 200}],
    }
