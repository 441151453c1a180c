"""Many clients at once: the same answers as one after another, bounded queues, deadlines, leaving clients."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from byline.attribution.queries import QueryPreparer
from byline.attribution.request import AttributionRequest
from byline.errors import Overloaded
from byline.recipes import recipe
from byline_service.attributions.admission import Admission, Capacity
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key

ASK = "/v1/indexes/fake/attributions"


def query(text, **options):
    return {"query": {"text": text}, **options}


def without_timings(document):
    return {name: value for name, value in document.items() if name != "timings"}


def test_threads_get_the_answers_of_one_after_another(served):
    bodies = [
        query(
            f"text {i % 17}",
            k=1 + i % 5,
            direction=["proponents", "opponents", "both"][i % 3],
            shares=i % 2 == 0,
        )
        for i in range(96)
    ]
    one_by_one = [without_timings(served.client.post(ASK, json=body).json()) for body in bodies]
    served.featurizer.batches.clear()
    with ThreadPoolExecutor(12) as pool:
        at_once = list(pool.map(lambda body: served.client.post(ASK, json=body), bodies))
    assert [response.status_code for response in at_once] == [200] * len(bodies)
    assert [without_timings(response.json()) for response in at_once] == one_by_one
    assert max(served.featurizer.batches) > 1, "nothing was batched across requests"


def test_what_waits_is_answered_in_one_batch(served):
    served.featurizer.entered.clear()
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(served.client.post, ASK, json=query("first"))
        until(served.featurizer.entered.is_set)
        served.featurizer.batches.clear()
        others = [pool.submit(served.client.post, ASK, json=query(f"other {i}")) for i in range(8)]
        until(lambda: served.app.state.service.admission.cost == 9)
        time.sleep(0.05)
        served.featurizer.gate.set()
        answers = [future.result() for future in (first, *others)]
    assert [response.status_code for response in answers] == [200] * 9
    assert served.featurizer.batches == [1, 8]
    assert all(response.json()["timings"]["queue"] > 40 for response in answers[1:])


def test_one_query_that_fails_does_not_fail_its_batch(served):
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(served.client.post, ASK, json=query("first"))
        until(lambda: served.app.state.service.admission.cost == 1)
        others = [pool.submit(served.client.post, ASK, json=query(t)) for t in ("a", "boom", "c")]
        until(lambda: served.app.state.service.admission.cost == 4)
        served.featurizer.gate.set()
        statuses = [future.result().status_code for future in (first, *others)]
    assert statuses == [200, 200, 422, 200]


def test_a_deadline_is_504_and_what_had_not_begun_is_dropped(serve):
    served = serve(deadline_seconds=0.3)
    served.featurizer.entered.clear()
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(served.client.post, ASK, json=query("begun"))]
        until(served.featurizer.entered.is_set)
        futures += [pool.submit(served.client.post, ASK, json=query(f"q{i}")) for i in range(2)]
        assert [future.result().status_code for future in futures] == [504] * 3
    served.featurizer.batches.clear()
    served.featurizer.gate.set()
    assert served.client.post(ASK, json=query("after")).status_code == 200
    until(lambda: served.app.state.service.admission.cost == 0)
    assert sum(served.featurizer.batches) <= 2, "queries whose clients had gone were computed"
    assert "byline_dropped_total 2.0" in served.client.get("/metrics").text


def test_a_client_that_leaves_is_dropped(served):
    served.featurizer.entered.clear()
    served.featurizer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.client.post, ASK, json=query("first"))
        until(served.featurizer.entered.is_set)
        assert served.client.portal.call(_leaving, served.app) == [499]
        served.featurizer.batches.clear()
        served.featurizer.gate.set()
        assert first.result().status_code == 200
    served.client.post(ASK, json=query("after"))
    assert served.featurizer.batches == [1, 1]


async def _leaving(app):
    """One request over bare ASGI whose client leaves after its body."""
    messages = [
        {"type": "http.request", "body": b'{"query": {"text": "gone"}}', "more_body": False},
        {"type": "http.disconnect"},
    ]
    return await _statuses(app, messages)


async def _statuses(app, messages):
    statuses = []

    async def receive():
        await asyncio.sleep(0.02)
        return messages.pop(0)

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": ASK,
        "raw_path": ASK.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"authorization", f"Bearer {admin_key()}".encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return statuses


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_mistake(served):
    messages = [
        {"type": "http.request", "body": b'{"query": {"te', "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert served.client.portal.call(_statuses, served.app, messages) == [499]
    assert served.app.state.service.admission.cost == 0
    assert served.client.post(ASK, json=query("after")).status_code == 200


def test_a_mistake_of_ours_is_a_problem_without_content(served, monkeypatch):
    def wrong(questions):
        raise RuntimeError("secret content")

    with monkeypatch.context() as patched:
        patched.setattr(served.attributor, "answer", wrong)
        response = served.client.post(ASK, json=query("x"))
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert served.client.post(ASK, json=query("after")).status_code == 200


def test_admission_counts_down_whatever_happens():
    admission = Admission(Capacity(requests=2, cost=3, body_bytes=100))
    with contextlib.suppress(ValueError), admission.place(10) as place:
        place.take(2)
        raise ValueError("mistake")
    with admission.place(60) as first:
        first.take(2)
        with pytest.raises(Overloaded, match="memory"), admission.place(50):
            pass
        with admission.place(10) as second:
            with pytest.raises(Overloaded, match="queries"):
                second.take(2)
            second.take(1)
            with pytest.raises(Overloaded, match="2 requests"), admission.place(1):
                pass
    assert admission.cost == 0
    with admission.place(1000):
        pass  # alone, any size is admitted


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(0.005)


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("grad_dot", 0),
        ("if_cg", 100),
        ("if_lissa", 25),
    ],  # LiSSA: 400 steps of 64 points over a sample of 1,024
)
def test_a_solved_query_counts_its_passes_in_the_queue_and_shares_them_in_a_batch(name, passes):
    attributor, featurizer = fake_attributor(members=3)
    questions = QueryPreparer(
        recipe(name), attributor.index.width, task=attributor.task, featurizer=featurizer
    )
    asked = questions.check(AttributionRequest(query={"text": "a"}))
    assert (asked.cost, asked.batch_cost) == (1 + 3 * passes, 1)
    several = questions.check(AttributionRequest(query_set=[{"text": "a"}, {"text": "b"}]))
    assert several.cost == 2 + 3 * passes, "the mean of a set is solved once"
    gradient = {name: torch.zeros(shape) for name, shape in featurizer.expected_gradients().items()}
    assert questions.check(AttributionRequest(gradient=gradient)).cost == 1 + 3 * passes
    for unsolved in (
        {"feature": [0.0] * attributor.index.width},
        {"query": {"text": "a"}, "baseline": "bm25"},
    ):
        assert questions.check(AttributionRequest(**unsolved)).cost == 1


def test_solved_queries_are_admitted_by_their_passes(serve):
    attributor, featurizer = fake_attributor(members=1)
    solving = QueryPreparer(
        recipe("if_cg"), attributor.index.width, task=attributor.task, featurizer=featurizer
    )
    attributor._stages = replace(attributor._stages, preparer=solving)
    served = serve({"fake": attributor}, queue_cost=256)
    featurizer.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(served.client.post, ASK, json=query(f"w{i}")) for i in range(2)]
        until(lambda: served.app.state.service.admission.cost == 202)
        refused = served.client.post(ASK, json=query("one too many"))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 10, "100 passes take their time"
        featurizer.gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 2
