"""Overload is answered 503 with Retry-After, early, and passes."""

from concurrent.futures import ThreadPoolExecutor

from tests.service.attributions.test_admission import ASK, query, until


def test_overload_is_503_with_retry_after_and_passes(serve):
    served = serve(queue_requests=3)
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(served.client.post, ASK, json=query(f"w{i}")) for i in range(3)]
        until(lambda: served.app.state.service.admission.cost == 3)
        refused = served.client.post(ASK, json=query("one too many"))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert served.client.get("/livez").status_code == 200
        served.featurizer.gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 3
    assert served.client.post(ASK, json=query("now there is room")).status_code == 200


def test_a_full_service_refuses_before_it_asks_who_it_is(serve):
    served = serve(queue_requests=1)
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.client.post, ASK, json=query("w"))
        until(lambda: served.app.state.service.admission.cost == 1)
        stranger = {"authorization": "Bearer nobody"}
        refused = served.client.post(ASK, content=b"no JSON", headers=stranger)
        assert refused.status_code == 503
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert int(refused.headers["retry-after"]) >= 1
        assert served.client.get("/v1/indexes").status_code == 200, "what computes nothing is not refused"
        served.featurizer.gate.set()
        assert waiting.result().status_code == 200
    assert served.client.post(ASK, content=b"no JSON", headers=stranger).status_code == 401
    counted = 'byline_requests_total{method="POST",route="/v1/indexes/{name}/attributions",status="503"} 1.0'
    assert counted in served.client.get("/metrics").text


def test_queries_inside_are_bounded_as_well(serve):
    served = serve(queue_cost=4)
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(served.client.post, ASK, json={"queries": [{"text": "a"}] * 6})
        until(lambda: served.app.state.service.admission.cost == 6)  # alone it is admitted
        assert served.client.post(ASK, json=query("b")).status_code == 503
        served.featurizer.gate.set()
        assert waiting.result().status_code == 200
