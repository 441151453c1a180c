"""The page of the rights table: its rows by owner, page by page, and its CSV."""

import csv
import io

from tests.service.keys import bearer

HEAD = "owner,right,party,share,from,to"


def revised(served, lines):
    made = served.client.post("/v1/indexes/fake/rights", json={"csv": "\n".join([HEAD, *lines])})
    assert made.status_code == 201, made.text
    return made.json()


def test_the_table_is_shown_with_its_revision(served):
    assert "No rights table is recorded." in served.client.get("/compensation/rights").text
    assert served.client.post("/v1/parties", json={"name": "Ana & Co"}).status_code == 201
    revised(served, ["owner 1,author,Ana & Co,333333,2026-01-01,"])
    text = served.client.get("/compensation/rights").text
    assert "Revision 1 with " in text
    assert "Ana &amp; Co" in text
    assert "33.3333 %" in text
    assert 'data-import="rights"' in text
    found = csv.reader(
        io.StringIO(served.client.get("/compensation/rights.csv?index=fake").text.lstrip("\ufeff"))
    )
    assert list(found) == [HEAD.split(","), ["owner 1", "author", "Ana & Co", "333333", "2026-01-01", ""]]
    assert served.client.get("/compensation/rights?index=none").status_code == 404


def test_a_long_table_has_pages(served):
    assert served.client.post("/v1/parties", json={"name": "Ana"}).status_code == 201
    revised(served, [f"owner {1000 + i},author,Ana,1000000,," for i in range(101)])
    first = served.client.get("/compensation/rights?index=fake").text
    assert "owner 1000" in first
    assert "owner 1100" not in first
    assert "index=fake&amp;from=100" in first or "index=fake&from=100" in first
    last = served.client.get("/compensation/rights?index=fake&from=100").text
    assert "owner 1100" in last
    assert "owner 1000" not in last


def test_readers_see_the_table_and_cannot_revise_it(served):
    reader = bearer(served.key_for(scopes=["read"]))
    text = served.client.get("/compensation/rights", headers=reader).text
    assert "data-import" not in text
    owner = bearer(served.key_for(scopes=["read"], owners=["owner 1"]))
    assert served.client.get("/compensation/rights", headers=owner).status_code == 403
