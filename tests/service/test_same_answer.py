"""The same question has the same answer: after a restart, with other search threads, and where scores are tied."""

import asyncio

import pytest
from starlette.testclient import TestClient

from byline.attribution.attributor import Attributor
from byline_service.app import create_app
from tests.service.keys import admin_key, bearer, prepared
from tests.system.serving import tiny_index

ASK = "/v1/indexes/tiny/attributions"
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return tiny_index(tmp_path_factory.mktemp("index"))


def answers(index, folder, threads, bodies):
    """What a service that was just started answers, without its timings."""
    attributor = Attributor.open(index, name="tiny")
    app = create_app(prepared(folder, threads=threads), {"tiny": attributor})
    headers = bearer(admin_key())
    with TestClient(app, base_url="http://localhost", headers=headers) as client:

        async def warmed():
            while not app.state.service.ready:
                await asyncio.sleep(0.005)

        client.portal.call(warmed)
        found = []
        for body in bodies(attributor):
            response = client.post(ASK, json=body)
            assert response.status_code == 200, response.text
            found.append({name: value for name, value in response.json().items() if name != "timings"})
        return found


def test_over_restarts_search_threads_and_ties(index, tmp_path):
    def bodies(attributor):
        everything = {"k": attributor.index.rows, "direction": "both"}
        tied = {"feature": [0.0] * attributor.index.width}
        return [{"query": QUERY, "shares": True} | everything, tied | everything, tied | {"k": 3}]

    first, *others = [
        answers(index, tmp_path / str(number), threads, bodies) for number, threads in enumerate((1, 1, 2, 4))
    ]
    assert others == [first] * 3
    _, tied, top = first
    assert {each["score"] for each in tied["proponents"]} == {0.0}
    ids = [each["example"]["id"] for each in tied["proponents"]]
    assert len(set(ids)) == len(ids) > 3
    assert [each["example"]["id"] for each in top["proponents"]] == ids[:3], (
        "ties stand in one order, however many are asked"
    )
