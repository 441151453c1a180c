"""What is served under a name changes at once for those who come, and never for those who came."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from byline.errors import NotFound
from byline_service.versions.registry import Registry
from byline_service.versions.served_version import ServedVersion
from tests.service.attributions.test_admission import query, until
from tests.service.fakes import fake_attributor

ASK = "/v1/indexes/fake/attributions"


def version(name):
    attributor, featurizer = fake_attributor()
    attributor.index.version = name
    return ServedVersion.of(attributor), featurizer


def swap(served, to):
    async def swapped():
        served.app.state.service.versions.swap("fake", to)

    served.client.portal.call(swapped)


def test_a_request_that_began_ends_with_its_version(served):
    served.featurizer.entered.clear()
    served.featurizer.gate.clear()
    new, _ = version("new")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.client.post, ASK, json=query("first"))
        until(served.featurizer.entered.is_set)
        waiting = pool.submit(served.client.post, ASK, json=query("queued"))
        until(lambda: served.app.state.service.admission.cost == 2)
        swap(served, new)
        assert served.client.get("/v1/indexes/fake").json()["version"] == "new"
        served.featurizer.gate.set()
        assert first.result().json()["version"] == "0123456789ab"
        assert waiting.result().json()["version"] == "0123456789ab"
    assert served.client.post(ASK, json=query("after")).json()["version"] == "new"


def test_an_old_version_is_freed_with_its_last_request(serve):
    old, featurizer = version("old")
    served = serve({"fake": old})
    gone = [weakref.ref(old), weakref.ref(old.attributor), weakref.ref(old.attributor.index.examples)]
    featurizer.entered.clear()
    featurizer.gate.clear()
    gate, entered = featurizer.gate, featurizer.entered
    del old, featurizer
    service = served.app.state.service
    gc.collect()
    gc.disable()  # nothing may wait for the collector: it comes when it wants to
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(served.client.post, ASK, json=query("first"))
            until(entered.is_set)
            swap(served, version("new")[0])
            assert all(each() is not None for each in gone)
            assert service.versions.loaded == 2
            gate.set()
            assert first.result().json()["version"] == "old"
        until(lambda: all(each() is None for each in gone))
        assert service.versions.loaded == 1
        assert "byline_versions_loaded 1.0" in served.client.get("/metrics").text
    finally:
        gc.enable()


def test_pages_of_lists_belong_to_a_version(served):
    page = served.client.get("/v1/indexes/fake/examples?limit=10").json()
    swap(served, version("new")[0])
    refused = served.client.get(f"/v1/indexes/fake/examples?limit=10&after={page['next']}")
    assert refused.status_code == 422
    assert "another version" in refused.json()["detail"]


def test_the_reference_follows(served):
    assert "Query_fake" in served.client.get("/openapi.json").json()["components"]["schemas"]
    bare = ServedVersion.of(fake_attributor(task=False)[0])
    swap(served, bare)
    assert "Query_fake" not in served.client.get("/openapi.json").json()["components"]["schemas"]


def test_two_names_share_a_version_and_one_can_go():
    one, _ = version("one")
    registry = Registry({"fake": one})
    registry.swap("other", one)
    assert registry.loaded == 1
    assert registry.loaded_as("fake", "one") is one
    assert registry.loaded_as("fake", "two") is None
    registry.remove("other")
    with pytest.raises(NotFound):
        registry.current("other")
    assert registry.current("fake") is one
