"""Recorded answers: within limits, and streamed as any other."""

from tests.service.keys import bearer
from tests.service.recorded_answers import BODY, RECORD, SCOPES, people, recorded


def test_limits_refuse_and_leave_nothing(serve):
    served = serve(answer_bytes=1024, answers_per_person=1)
    key = served.key_for(scopes=SCOPES, person="ada")
    assert recorded(served, key).status_code == 413
    small = {"question": {"query": {"text": "hello"}, "k": 1}}
    limited = serve(answers_per_person=1)
    key = limited.key_for(scopes=SCOPES, person="ada")
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


def test_a_stream_ends_with_the_recorded_answer(served):
    headers = bearer(people(served)["ada"]) | {"accept": "text/event-stream"}
    text = served.client.post(RECORD, json=BODY, headers=headers).text
    assert "event: answer" in text
    assert '"recorded_at"' in text
