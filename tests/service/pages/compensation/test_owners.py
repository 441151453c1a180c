"""The list of owners holds its state in the address; the page of one owner has accounts, runs and statements."""

import csv
import io
import re
from html import escape
from urllib.parse import quote

import pytest

from tests.service.keys import bearer

NAME = re.compile(r'<th scope="row"><a href="/compensation/owner\?owner=[^"]*">([^<]*)<')


def listed(text):
    return NAME.findall(text)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Ana &amp; Söhne", "Boris &lt;Studio&gt;", "Владимир", "owner 1"]),
        ("?text=sohne", ["Ana &amp; Söhne"]),
        ("?text=ВЛАД", ["Владимир"]),
        ("?holding=carried", ["owner 1"]),
        ("?holding=&text=%20", ["Ana &amp; Söhne", "Boris &lt;Studio&gt;", "Владимир", "owner 1"]),
        ("?sort=owner&order=asc", ["Ana &amp; Söhne", "Boris &lt;Studio&gt;", "owner 1", "Владимир"]),
        ("?sort=total&order=asc", ["owner 1", "Владимир", "Boris &lt;Studio&gt;", "Ana &amp; Söhne"]),
        ("?after=3", ["owner 1"]),
    ],
)
def test_owners_are_searched_filtered_sorted_and_paged(house, query, names):
    assert listed(house.get(f"/compensation/owners{query}").text) == names


def test_links_keep_the_search(house):
    text = house.get("/compensation/owners?text=o&holding=escrow&sort=owner&order=asc").text
    assert 'value="o"' in text
    assert 'href="?text=o&amp;holding=escrow&amp;sort=payable' not in text, "a default is left out"
    assert 'href="?text=o&amp;holding=escrow&amp;sort=owner"' in text, "the other direction"
    assert 'aria-sort="ascending"' in text
    found = house.get("/compensation/owners.csv?text=o&holding=escrow&sort=owner&order=asc").text
    rows = list(csv.reader(io.StringIO(found.lstrip("\ufeff"))))
    assert [escape(row[0]) for row in rows] == ["owner", *listed(text)]


def test_what_the_address_cannot_hold_is_refused(house):
    for query in ("?sort=shoe", "?after=-1", "?other=1", "?policy=another"):
        assert house.get(f"/compensation/owners{query}").status_code in (404, 422), query


def test_an_owner_has_accounts_runs_and_statements(house):
    owner = "Boris <Studio>"
    text = house.get(f"/compensation/owner?owner={quote(owner)}").text
    assert "<h1>Boris &lt;Studio&gt;</h1>" in text
    assert "March 2026" in text
    assert "April 2026" not in text, "a draft is not a statement"
    line = house.client.get("/v1/statement-lines", params={"owner": owner}).json()["data"][0]["line"]
    for name in ("payable", "escrow"):
        assert f'<data value="{line[name] / 100:.2f}"' in text
    assert f"/v1/statements/{house.runs.march}/pdf?owner=Boris+%3CStudio%3E" in text


def test_another_owner_is_no_page(house):
    assert house.get("/compensation/owner?owner=nobody").status_code == 404
    assert house.get("/compensation/owner?owner=owner%202", house.keys["owner"]).status_code == 403
    assert house.get("/compensation/owner?owner=owner%201", house.keys["owner"]).status_code == 200
    assert listed(house.get("/compensation/owners", house.keys["owner"]).text) == ["owner 1"]


def test_an_owner_is_the_party_of_that_name_or_alias(served):
    body = {"name": "Ana", "aliases": ["Ana Ltd"], "details": {"contact": "ana@example.org"}}
    made = served.client.post("/v1/parties", json=body)
    assert made.status_code == 201, made.text
    text = served.client.get("/compensation/parties").text
    assert "Ana Ltd" in text
    assert "ana@example.org" in text
    reader = served.key_for(scopes=["read"], owners=["owner 1"])
    assert served.client.get("/v1/parties?owner=Ana", headers=bearer(reader)).status_code == 403
    found = served.client.get("/v1/parties?owner=Ana%20Ltd").json()["data"]
    assert [each["name"] for each in found] == ["Ana"]
    assert served.client.get("/v1/parties?owner=nobody").json()["data"] == []
