"""Every kind of question over HTTP to a real index, with and without its Task: the offline answers."""

import asyncio
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from starlette.testclient import TestClient

from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline_indexer.build.build import build
from byline_indexer.config import load_config
from byline_service.app import create_app
from byline_service.http.bodies import tensors_limit
from tests.service.keys import admin_key, bearer, prepared

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
TENSORS = {"content-type": "application/vnd.safetensors"}
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}
FULL, BARE = "/v1/indexes/full", "/v1/indexes/bare"


@pytest.fixture(scope="module")
def attributors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    shutil.copy(TINY, folder / "tiny_task.py")
    (folder / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
        '[recipe.members]\nmasks = 2\n[index]\npath = "index"\n'
    )
    build(load_config(folder / "build.toml"))
    return {
        "full": Attributor.open(folder / "index", name="full"),
        "bare": Attributor.open_without_task(folder / "index", name="bare"),
    }


@pytest.fixture(scope="module")
def client(attributors, tmp_path_factory):
    """An application over both.

    Yields:
        Its client.
    """
    settings = prepared(tmp_path_factory.mktemp("data"), baselines="bm25,representation")
    app = create_app(settings, attributors)
    headers = bearer(admin_key())
    with TestClient(
        app, base_url="http://localhost", raise_server_exceptions=False, headers=headers
    ) as started:

        async def warmed():
            while not app.state.service.ready:
                await asyncio.sleep(0.005)

        started.portal.call(warmed)
        yield started


@pytest.fixture(scope="module")
def gradients(attributors):
    random = torch.Generator().manual_seed(1)
    expected = attributors["full"].expected_gradients()
    return {name: torch.randn(shape, generator=random) for name, shape in expected.items()}


def offline(attributor, *, examples=True, **request):
    asked = AttributionRequest(owners_limit=100, **request)
    answer = attributor.attribute(asked) if examples else attributor.shares(asked)
    return without_timings(answer.model_dump(mode="json"))


def without_timings(document):
    return {name: value for name, value in document.items() if name != "timings"}


def answered(response):
    assert response.status_code == 200, response.text
    return without_timings(response.json())


@pytest.mark.parametrize(
    ("options", "request_options"),
    [
        ({"k": 7, "direction": "both", "members": True}, {"k": 7, "direction": "both", "members": True}),
        ({"filter": {"owner": ["owner-1"]}}, {"filter": Filter(owner=["owner-1"])}),
        ({"filter": {"label": ["0"], "license": ["MIT"]}}, {"filter": Filter(label=["0"], license=["MIT"])}),
        ({"shares": True}, {"shares": True}),
        ({"target": "margin"}, {"target": "margin"}),
    ],
)
def test_queries(client, attributors, options, request_options):
    body = answered(client.post(f"{FULL}/attributions", json={"query": QUERY} | options))
    assert body == offline(attributors["full"], query=QUERY, **request_options)


def test_shares_alone(client, attributors):
    body = answered(client.post(f"{FULL}/shares", json={"query": QUERY}))
    assert body == offline(attributors["full"], examples=False, query=QUERY)
    assert body["shares"]["coverage"]["complete"]


@pytest.mark.parametrize("name", ["full", "bare"])
def test_gradients_and_features_need_no_task(client, attributors, gradients, name):
    ask = f"/v1/indexes/{name}/attributions"
    query = "?k=3&direction=both&shares=true&owner=owner-0&owner=owner-2"
    body = answered(client.post(ask + query, content=save(gradients), headers=TENSORS))
    options = {"k": 3, "direction": "both", "shares": True, "filter": Filter(owner=["owner-0", "owner-2"])}
    assert body == offline(attributors[name], gradient=gradients, **options)
    feature = [0.25 * (i % 5 - 2) for i in range(attributors[name].index.width)]
    body = answered(client.post(ask, json={"feature": feature, "k": 4}))
    assert body == offline(attributors[name], feature=feature, k=4)


def test_without_its_task_queries_are_refused_and_gradients_listed(client, attributors):
    assert client.post(f"{BARE}/attributions", json={"query": QUERY}).status_code == 422
    info = client.get(BARE).json()
    assert info["query_schema"] is None
    assert info["targets"] == []
    expected = attributors["bare"].expected_gradients()
    assert info["gradients"] == {name: list(shape) for name, shape in expected.items()}


def test_gradient_bodies_up_to_the_limit(client, attributors, gradients):
    limit = tensors_limit(attributors["full"].expected_gradients())
    padded = {"filler": "x"}
    short = len(save(gradients, metadata=padded))
    # safetensors pads its header to multiples of 8: the last bytes to the limit are no safetensors.
    longest = save(gradients, metadata={"filler": "x" * (1 + (limit - short) // 8 * 8)})
    assert limit - 8 < len(longest) <= limit
    ask = f"{FULL}/attributions"
    assert client.post(ask, content=longest, headers=TENSORS).status_code == 200
    at_limit = longest + b"\0" * (limit - len(longest))
    assert client.post(ask, content=at_limit, headers=TENSORS).status_code in {200, 422}
    over = client.post(ask, content=at_limit + b"\0", headers=TENSORS)
    assert over.status_code == 413
    assert over.json()["type"] == "urn:byline:problem:too-large"


@pytest.mark.parametrize(
    "dtype",
    [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.int64, torch.bool],
    ids=str,
)
@pytest.mark.parametrize("name", ["full", "bare"])
def test_gradients_of_odd_types_are_refused(client, gradients, dtype, name):
    odd = {each: tensor.to(dtype) for each, tensor in gradients.items()}
    response = client.post(f"/v1/indexes/{name}/attributions", content=save(odd), headers=TENSORS)
    assert response.status_code in {413, 422}
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_gradients_of_half_precision_are_answered(client, gradients, dtype):
    half = {each: tensor.to(dtype) for each, tensor in gradients.items()}
    response = client.post(f"{FULL}/attributions", content=save(half), headers=TENSORS)
    assert response.status_code == 200


@pytest.mark.parametrize("baseline", ["bm25", "representation"])
def test_a_baseline(client, attributors, baseline):
    asked = {"query": QUERY, "baseline": baseline, "k": 7, "direction": "both"}
    body = answered(client.post(f"{FULL}/attributions", json={**asked, "filter": {"owner": ["owner-1"]}}))
    assert body == offline(attributors["full"], **asked, filter=Filter(owner=["owner-1"]))
    assert body["baseline"] == baseline
    assert len(body["proponents"]) == len(body["opponents"]) == 7
    assert {each["example"]["owner"] for each in body["proponents"]} == {"owner-1"}


def test_gradients_take_no_baseline(client, gradients):
    response = client.post(f"{FULL}/attributions?baseline=bm25", content=save(gradients), headers=TENSORS)
    assert response.status_code == 422
