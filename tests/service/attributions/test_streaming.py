"""Long answers as streams: progress, then the answer or the problem; and nothing computed for nobody."""

import json
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.progress import count_items
from byline_indexer.build.build import build
from byline_indexer.config import load_config
from byline_service.app import create_app
from byline_service.attributions.compute import ComputeThread, Job
from byline_service.observability.metrics import Metrics
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, bearer, prepared
from tests.service.live import listening, until

ASK = "/v1/indexes/fake/attributions"
EVENTS = {"accept": "text/event-stream"}
TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}


def events_of(text):
    """Name and data of every event of a whole stream."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    split = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(each["event"], json.loads(each["data"])) for each in split]


def without_timings(document):
    return {name: value for name, value in document.items() if name != "timings"}


def test_a_stream_ends_with_the_answer_of_the_plain_path(served):
    body = {"query": {"text": "hello"}, "k": 3}
    plain = served.client.post(ASK, json=body)
    streamed = served.client.post(ASK, json=body, headers=EVENTS)
    assert streamed.status_code == 200
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["cache-control"] == "no-store"
    events = events_of(streamed.text)
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[0][1]["questions"] == 1
    name, answer = events[-1]
    assert (name, without_timings(answer)) == ("answer", without_timings(plain.json()))


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream;q=0", False),
        ("text/event-stream; Q=0.000, application/json", False),
        ("text/event-stream;q=0.001", True),
        ("application/json;q=0, text/event-stream", True),
        ("*/*", False),
    ],
)
def test_a_weight_of_zero_refuses_events(served, accept, streams):
    answer = served.client.post(ASK, json={"query": {"text": "hello"}}, headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream") == streams


def test_shares_stream_too(served):
    streamed = served.client.post(
        "/v1/indexes/fake/shares", json={"query": {"text": "hello"}}, headers=EVENTS
    )
    assert events_of(streamed.text)[-1][0] == "answer"


def test_what_is_refused_at_the_door_is_an_ordinary_problem(served):
    for path, body, status in (
        (ASK, {"query": {"text": ""}}, 422),
        ("/v1/indexes/other/attributions", {"query": {"text": "x"}}, 404),
    ):
        response = served.client.post(path, json=body, headers=EVENTS)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_what_fails_later_is_a_problem_event(served):
    for text, kind in (("refused", "invalid-input"), ("boom", "invalid-input")):
        response = served.client.post(ASK, json={"query": {"text": text, "label": 1}}, headers=EVENTS)
        assert response.status_code == 200
        name, problem = events_of(response.text)[-1]
        assert (name, problem["type"]) == ("problem", f"urn:byline:problem:{kind}")
        assert "secret" not in response.text
        assert problem["request_id"] == response.headers["x-request-id"]


def test_the_deadline_of_streams_is_their_own(serve):
    served = serve(deadline_seconds=0.2, stream_seconds=0.6)
    served.featurizer.gate.clear()
    plain = served.client.post(ASK, json={"query": {"text": "x"}})
    streamed = served.client.post(ASK, json={"query": {"text": "x"}}, headers=EVENTS)
    served.featurizer.gate.set()
    assert plain.status_code == 504
    name, problem = events_of(streamed.text)[-1]
    assert (name, problem["status"]) == ("problem", 504)


def test_the_queue_and_the_questions_that_are_answered(monkeypatch, tmp_path):
    monkeypatch.setattr("byline_service.attributions.streaming.KEEP_ALIVE", 0.3)
    monkeypatch.setattr("byline_service.attributions.streaming.EventSender.interval", 0.02)
    attributor, featurizer = fake_attributor()
    app = create_app(prepared(tmp_path, batch_cost=2), {"fake": attributor})
    with listening(app) as url, httpx.Client(base_url=url, timeout=20, headers=bearer(admin_key())) as client:
        featurizer.gate.clear()
        featurizer.entered.clear()
        first = threading.Thread(target=client.post, args=(ASK,), kwargs={"json": {"query": {"text": "a"}}})
        first.start()
        assert featurizer.entered.wait(10)
        body = {"queries": [{"text": text} for text in "bcdef"]}
        seen = ""
        with client.stream("POST", ASK, json=body, headers=EVENTS) as response:
            for part in response.iter_text():
                seen += part
                if ": still here" in seen:
                    featurizer.gate.set()
        first.join()
    events = events_of(seen)
    assert events[0] == ("progress", events[0][1])
    assert events[0][1]["stage"] == "queue"
    assert events[0][1]["ahead"] == 1
    assert events[0][1]["seconds_left"] > 0
    assert events[0][1]["questions"] == 5
    assert len(events[-1][1]["answers"]) == 5


def test_who_leaves_is_not_computed_for(monkeypatch, tmp_path):
    monkeypatch.setattr("byline_service.attributions.streaming.EventSender.interval", 0.02)
    attributor, featurizer = fake_attributor()
    app = create_app(prepared(tmp_path), {"fake": attributor})
    with listening(app) as url:
        featurizer.gate.clear()
        featurizer.entered.clear()
        with httpx.Client(base_url=url, timeout=20, headers=bearer(admin_key())) as client:
            with client.stream("POST", ASK, json={"query": {"text": "a"}}, headers=EVENTS) as response:
                events = response.iter_text()  # kept: the connection ends with it
                next(events)
                assert featurizer.entered.wait(10)
            with client.stream("POST", ASK, json={"query": {"text": "b"}}, headers=EVENTS) as response:
                next(response.iter_text())
        until(lambda: app.state.service.admission.cost == 0)
        featurizer.gate.set()
        batches = len(featurizer.batches)
    assert len(featurizer.batches) <= batches + 1, "the second query was computed for nobody"


def test_what_is_begun_ends_at_its_next_step_once_nobody_waits():
    begun, steps = threading.Event(), []

    def answer(questions):
        for step in count_items("drill", range(100_000)):
            steps.append(step)
            begun.set()
            time.sleep(0.001)

    compute = ComputeThread(batch_cost=4, threads=None, metrics=Metrics())
    compute.start()
    attributor = SimpleNamespace(answer=answer, name="slow")
    jobs = [
        Job(
            attributor=attributor,
            question=SimpleNamespace(cost=1, batch_cost=1),
            deadline=time.monotonic() + 60,
        )
        for _ in range(2)
    ]
    for job in jobs:
        compute.submit(job)
    assert begun.wait(10)
    jobs[0].abandon()
    reached = len(steps)
    until(lambda: len(steps) > reached + 5)  # the other one still waits
    jobs[-1].abandon()
    compute.stop()
    assert len(steps) < 100_000


@pytest.fixture(scope="module")
def long_ones(tmp_path_factory):
    """An index of groups, and one whose queries are solved."""
    folder = tmp_path_factory.mktemp("long")
    shutil.copy(TINY, folder / "tiny_task.py")
    groups = '[groups]\nby = "owner"\n'
    solved = 'name = "if_cg"\n[recipe.curvature]\nkind = "cg"\nsample = 40\niterations = 40\ntolerance = 0\n'
    for name, recipe, more in (("groups", 'name = "ekfac"\n', groups), ("solved", solved, "")):
        (folder / f"{name}.toml").write_text(
            f'task = "tiny_task.py:task"\n[recipe]\n{recipe}[recipe.projection]\nsize = 24\n{more}'
            f'[index]\npath = "{name}"\n'
        )
        build(load_config(folder / f"{name}.toml"))
    return {name: Attributor.open(folder / name, name=name) for name in ("groups", "solved")}


def test_counted_steps_of_long_answers(long_ones, monkeypatch, tmp_path):
    monkeypatch.setattr("byline_service.attributions.streaming.EventSender.interval", 0.0005)
    app = create_app(prepared(tmp_path), long_ones)
    asked = {"groups": {"query": QUERY, "drill_down": True, "drill_groups": 4}, "solved": {"query": QUERY}}
    asked["refined"] = {"query": QUERY, "refine": 20, "shares": True}
    with listening(app) as url, httpx.Client(base_url=url, timeout=60, headers=bearer(admin_key())) as client:
        for asking, name, stage in (
            ("groups", "groups", "drill"),
            ("solved", "solved", "solve"),
            ("refined", "groups", "solve"),
        ):
            text = client.post(f"/v1/indexes/{name}/attributions", json=asked[asking], headers=EVENTS).text
            *progress, (last, answer) = events_of(text)
            assert last == "answer"
            steps = [each for _, each in progress if each["stage"] == stage and each["total"]]
            assert steps, {each["stage"] for _, each in progress}
            fractions = [each["fraction"] for each in steps]
            assert fractions == sorted(fractions)
            assert any(each["seconds_left"] is not None for each in steps)
            offline = long_ones[name].attribute(AttributionRequest(**asked[asking])).model_dump(mode="json")
            assert without_timings(answer) == without_timings(offline)
