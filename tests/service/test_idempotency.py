"""Requests that happen once: on both databases, at the same time, in two replicas, and when they fail half-way."""

import asyncio

import pytest
import torch
from fastapi import APIRouter, Request
from safetensors.torch import save
from sqlalchemy import func, select

from byline.api.accounts import Scope
from byline.api.attributions import Health
from byline.errors import InvalidQuery, ReusedKey
from byline_service import idempotency
from byline_service.accounts import audit
from byline_service.accounts.permissions import caller_of, requires
from byline_service.database import Database
from byline_service.database.tables.accounts import audit as audit_table
from byline_service.idempotency import Attempt, Replay, no_preparation, run_once
from tests.service.fakes import fake_attributor

PATH = "/v1/once"


@pytest.fixture
def running(serve, database):
    """A service with an endpoint that writes one line a request, and fails where it is told to."""
    served = serve(database_url=database.url)
    router = APIRouter()

    @router.post(PATH, dependencies=[requires(Scope.COMPENSATE)])
    async def happen(request: Request):
        """Happen once."""
        body = await request.body()

        async def book(transaction, prepared):
            await audit.record(transaction, caller_of(request), "test.happened", body.decode())
            if b"fail" in body:
                raise InvalidQuery("told to fail")
            return 201, Health(status="ok")

        return await run_once(request, caller_of(request), body, no_preparation, book)

    served.app.include_router(router)
    return served


def happened(served):
    lines = served.client.get("/v1/audit?limit=1000").json()["data"]
    return [line["subject"] for line in lines if line["action"] == "test.happened"]


def send(served, key, body, **headers):
    named = {"idempotency-key": key} if key is not None else {}
    return served.client.post(PATH, content=body, headers=named | headers)


def test_a_repetition_gets_the_first_answer_and_does_nothing(running):
    first, again = send(running, "a", b"1"), send(running, "a", b"1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert send(running, "b", b"1").status_code == 201
    assert happened(running) == ["1", "1"]


def test_the_same_key_with_another_body_is_refused(running):
    send(running, "a", b"1")
    refused = send(running, "a", b"2")
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:byline:problem:idempotency-mismatch"
    assert happened(running) == ["1"]


@pytest.mark.parametrize("key", [None, "", "x" * 201, "\t"])
def test_a_key_is_needed(running, key):
    refused = send(running, key, b"1")
    assert refused.status_code == 422
    assert "Idempotency-Key" in refused.json()["detail"]
    assert happened(running) == []


def test_what_fails_is_not_remembered_and_leaves_nothing(running):
    assert send(running, "a", b"fail").status_code == 422
    assert happened(running) == []
    assert send(running, "a", b"1").status_code == 201


def test_two_persons_keys_have_nothing_to_do_with_each_other(running):
    other = running.key_for(scopes=["compensate"], person="ada")
    assert send(running, "a", b"1").status_code == 201
    assert send(running, "a", b"2", authorization=f"Bearer {other}").status_code == 201
    assert sorted(happened(running)) == ["1", "2"]


def test_a_persons_other_key_is_the_same_person(running):
    """A key that was rotated while a request was under way does not repeat its effect."""
    other = running.key_for(scopes=["compensate"])
    first = send(running, "a", b"1")
    again = send(running, "a", b"1", authorization=f"Bearer {other}")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert happened(running) == ["1"]


def test_an_event_is_booked_once_by_name_alias_and_rotated_key(serve, database):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    served = serve({"fake": attributor, "latest": attributor}, database_url=database.url)
    body = {"query": {"text": "hello", "label": 1}}
    other = served.key_for(scopes=["compensate", "read"])

    def book(name, **headers):
        headers = {"idempotency-key": "once"} | headers
        return served.client.post(f"/v1/indexes/{name}/events", json=body, headers=headers)

    first = book("fake")
    assert first.status_code == 201, first.text
    for again in (book("latest"), book("fake", authorization=f"Bearer {other}")):
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert len(served.client.get("/v1/indexes/fake/events").json()["data"]) == 1


GRADIENT = {f"c{m}-m{m}/w": torch.ones(6) for m in range(3)}


def test_an_events_options_beside_a_gradient_belong_to_the_key(serve, database):
    """A weight decides how much an event is paid: the same gradient with another one is another request."""
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    served = serve({"fake": attributor}, database_url=database.url)
    policy = {"name": "royalties", "currency": "EUR", "pool": 1, "asked": ["gradient"]}
    assert served.client.post("/v1/policies", json=policy, headers={"idempotency-key": "p"}).is_success
    headers = {"idempotency-key": "g", "content-type": "application/vnd.safetensors"}

    def book(options, key="g"):
        path = f"/v1/indexes/fake/events{options}"
        return served.client.post(path, content=save(GRADIENT), headers=headers | {"idempotency-key": key})

    first = book("?weight=1&reference=a")
    assert first.status_code == 201, first.text
    for others in ("?weight=1000&reference=a", "?weight=1&reference=b", "?weight=1", ""):
        refused = book(others)
        assert refused.status_code == 422, others
        assert refused.json()["type"] == "urn:byline:problem:idempotency-mismatch"
        assert "body and options" in refused.json()["detail"]
    for same in ("?weight=1&reference=a", "?reference=a&weight=1", "?reference=a"):
        again = book(same)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == first.json()
    assert book("", key="plain").status_code == 201
    assert book("?weight=1", key="plain").headers["idempotency-replayed"] == "true"
    assert book("?weight=1000", key="plain").status_code == 422
    events = served.client.get("/v1/indexes/fake/events").json()["data"]
    assert [(each["weight"], each["reference"]) for each in events] == [(1, None), (1, "a")]


def test_of_many_replicas_at_once_one_does_it_and_all_say_so(database):
    attempt = Attempt.of("k" * 12, "POST /x", "1", b"body")

    async def one(replica):
        async with replica.begin() as transaction:
            found = await idempotency.begin(transaction, attempt)
            if found is not None:
                return found
            await audit.record(transaction, audit.OPERATOR, "test.happened", "1")
            await asyncio.sleep(0.02)
            answer = Replay(201, "the first")
            await idempotency.finish(transaction, attempt, answer)
            return answer

    async def all_of_them(first):
        replicas = [first, Database(database.url), Database(database.url)]
        answers = await asyncio.gather(*(one(replicas[n % 3]) for n in range(12)))
        for replica in replicas[1:]:
            await replica.dispose()
        async with first.read() as reading:
            count = (await reading.execute(select(func.count()).select_from(audit_table))).scalar_one()
        return answers, count

    answers, count = database.run(all_of_them)
    assert answers == [Replay(201, "the first")] * 12
    assert count == 1
    with pytest.raises(ReusedKey):
        database.booked(idempotency.find, Attempt.of("k" * 12, "POST /x", "1", b"another"))
