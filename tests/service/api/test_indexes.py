"""Indexes over HTTP: their description, examples, self-influence and owners."""

from byline.recipes import recipe


def test_an_index_of_groups_says_so(serve):
    served = serve()
    index = served.attributor.index
    index.groups, index.points = object(), 900
    for info in (
        served.client.get("/v1/indexes").json()["data"][0],
        served.client.get("/v1/indexes/fake").json(),
    ):
        assert (info["rows"], info["unit"], info["points"]) == (200, "group", 900)


def test_indexes_are_listed_and_described(served):
    listed = served.client.get("/v1/indexes").json()["data"]
    assert listed == [
        {
            "name": "fake",
            "index": "fake",
            "version": "0123456789ab",
            "rows": 200,
            "unit": "point",
            "points": 200,
            "recipe": "grad_dot",
        }
    ]
    info = served.client.get("/v1/indexes/fake").json()
    assert info["query_schema"]["properties"]["text"]["maxLength"] == 500
    assert info["targets"] == ["loss", "margin"]
    assert info["gradients"] == {"c0-m0/w": [6], "c0-m1/w": [6], "c0-m2/w": [6]}
    assert info["recipe_document"]["name"] == "grad_dot"


def test_examples_are_paged_and_found_by_ids_with_slashes(served):
    pages, after = [], None
    while True:
        page = served.client.get(
            "/v1/indexes/fake/examples", params={"limit": 90} | ({"after": after} if after else {})
        ).json()
        pages += page["data"]
        after = page["next"]
        if after is None:
            break
    assert [each["row"] for each in pages] == list(range(200))
    found = served.client.get("/v1/indexes/fake/examples/docs/7/part.py%237")
    assert found.json() == pages[7]
    assert served.client.get("/v1/indexes/fake/examples/docs%2F7%2Fpart.py%237").json() == pages[7]


def test_self_influence_is_paged_largest_first_ties_by_row(served):
    rows, after = [], None
    while True:
        page = served.client.get(
            "/v1/indexes/fake/self-influence",
            params={"limit": 64} | ({"after": after} if after else {}),
        ).json()
        rows += [(-each["self_influence"], each["row"]) for each in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert rows == sorted(rows)
    assert len(rows) == 200


def test_self_influence_of_solved_queries_is_refused(served):
    served.attributor.index.recipe = recipe("if_cg")
    answer = served.client.get("/v1/indexes/fake/self-influence")
    assert answer.status_code == 422
    assert "no self-influence" in answer.json()["detail"]


def test_owners(served):
    owners = served.client.get("/v1/indexes/fake/owners").json()["data"]
    assert [(each["owner"], each["examples"]) for each in owners] == [
        ("owner 0", 67),
        ("owner 1", 67),
        ("owner 2", 66),
    ]


def test_owners_are_paged(served):
    first = served.client.get("/v1/indexes/fake/owners?limit=2").json()
    rest = served.client.get("/v1/indexes/fake/owners", params={"after": first["next"]}).json()
    assert [each["owner"] for each in rest["data"]] == ["owner 2"]
    assert rest["next"] is None
