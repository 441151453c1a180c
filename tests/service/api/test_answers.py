"""A recorded answer over HTTP: as it was given, under an address of its own."""

from datetime import datetime, timedelta

from tests.service.keys import bearer
from tests.service.recorded_answers import BODY, people, recorded


def test_an_answer_is_kept_as_it_was_given(served):
    key = people(served)["ada"]
    made = recorded(served, key)
    assert made.status_code == 201, made.text
    document = made.json()
    assert made.headers["location"] == f"/v1/answers/{document['id']}"
    found = served.client.get(made.headers["location"], headers=bearer(key))
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
    page = served.client.get(f"/answers/{document['id']}", headers=bearer(key))
    assert document["version"] in page.text
