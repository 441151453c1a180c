"""Rights tables over HTTP."""

TABLE = "owner,right,party,share,from,to\nowner 1,author,owner 1,600000,,\nowner 1,author,house,400000,,\n"
PATH = "/v1/indexes/fake/rights"


def test_a_table_is_revised_and_read(served):
    client = served.client
    assert client.get(PATH).status_code == 404
    assert client.post(PATH, json={"csv": TABLE}).status_code == 422
    for name in ("owner 1", "house"):
        assert client.post("/v1/parties", json={"name": name}).status_code == 201
    made = client.post(PATH, json={"csv": TABLE})
    assert made.status_code == 201, made.text
    assert client.get(PATH).json() == made.json()
    assert (made.json()["revision"], made.json()["rows"]) == (1, 2)
    refused = client.post(PATH, json={"csv": TABLE.replace("600000", "600001")})
    assert refused.status_code == 422
    assert "lines 2, 3" in refused.text
    assert client.post("/v1/indexes/other/rights", json={"csv": TABLE}).status_code == 404
