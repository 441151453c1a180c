"""Recorded answers: as they were given, to their reader alone, within limits, for a time."""

from datetime import UTC, datetime, timedelta

import pytest

from byline_service.answers import answer_queries
from tests.service.keys import bearer

RECORD = "/v1/indexes/fake/answers"
BODY = {"question": {"query": {"text": "hello"}, "k": 3, "shares": True}}
BOTH = ["read", "query"]


def recorded(served, key, **more):
    return served.client.post(RECORD, json=BODY | more, headers=bearer(key))


@pytest.fixture
def people(served):
    return {name: served.key_for(scopes=BOTH, person=name) for name in ("ada", "grace")}


def test_an_answer_is_kept_as_it_was_given(served, people):
    made = recorded(served, people["ada"])
    assert made.status_code == 201, made.text
    document = made.json()
    assert made.headers["location"] == f"/v1/answers/{document['id']}"
    found = served.client.get(made.headers["location"], headers=bearer(people["ada"]))
    assert found.json() == document
    asked = served.client.post("/v1/indexes/fake/attributions", json=BODY["question"]).json()
    given = document["answer"]
    assert {name: each for name, each in given.items() if name != "timings"} == {
        name: each for name, each in asked.items() if name != "timings"
    }
    assert len(given["proponents"]) == 3
    assert document["version"] == given["version"]
    assert document["question"] == BODY["question"]
    kept = datetime.fromisoformat(document["expires_at"]) - datetime.fromisoformat(document["recorded_at"])
    assert kept == timedelta(days=90)
    page = served.client.get(f"/answers/{document['id']}", headers=bearer(people["ada"]))
    assert document["version"] in page.text


def test_another_person_reads_and_deletes_a_shared_answer_at_most(served, people):
    own = recorded(served, people["ada"]).headers["location"]
    shared = recorded(served, people["ada"], shared=True).headers["location"]
    of_owner = served.key_for(scopes=["read"], owners=["owner 1"], person="olga")
    for path, status in ((own, 404), (shared, 200)):
        assert served.client.get(path, headers=bearer(people["grace"])).status_code == status
        assert (
            served.client.get(path.removeprefix("/v1"), headers=bearer(people["grace"])).status_code == status
        )
        assert served.client.delete(path, headers=bearer(people["grace"])).status_code == 404
        assert served.client.get(path, headers=bearer(of_owner)).status_code == 403
        assert served.client.get(path).status_code == 200, "admins read any"
    assert served.client.delete(own, headers=bearer(people["ada"])).status_code == 204
    assert served.client.get(own, headers=bearer(people["ada"])).status_code == 404


def test_limits_refuse_and_leave_nothing(serve):
    served = serve(answer_bytes=1024, answers_per_person=1)
    key = served.key_for(scopes=BOTH, person="ada")
    assert recorded(served, key).status_code == 413
    small = {"question": {"query": {"text": "hello"}, "k": 1}}
    limited = serve(answers_per_person=1)
    key = limited.key_for(scopes=BOTH, person="ada")
    assert recorded(limited, key, **small).status_code == 201
    second = recorded(limited, key, **small)
    assert second.status_code == 409
    assert "fewer than 1 recorded answers" in second.json()["detail"]


def test_a_batch_and_a_service_without_records_are_refused(serve):
    served = serve(answer_days=0)
    assert served.client.post(RECORD, json=BODY).status_code == 403
    served = serve()
    batch = served.client.post(RECORD, json={"question": {"queries": [{"text": "hello"}]}})
    assert batch.status_code == 422
    assert "got a batch" in batch.json()["detail"]


def test_an_expired_answer_is_not_read_and_then_deleted(served, people):
    location = recorded(served, people["ada"]).headers["location"]
    database = served.app.state.service.database
    later = datetime.now(UTC) + timedelta(days=91)

    async def forget(now):
        async with database.begin() as transaction:
            await answer_queries.forget(transaction, now)
            return await answer_queries.count(transaction, "ada")

    assert served.client.portal.call(forget, datetime.now(UTC)) == 1
    assert served.client.portal.call(forget, later) == 0
    assert served.client.get(location, headers=bearer(people["ada"])).status_code == 404


def test_a_stream_ends_with_the_recorded_answer(served, people):
    headers = bearer(people["ada"]) | {"accept": "text/event-stream"}
    text = served.client.post(RECORD, json=BODY, headers=headers).text
    assert "event: answer" in text
    assert '"recorded_at"' in text
