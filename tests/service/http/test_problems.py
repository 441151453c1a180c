"""What a problem document tells of an error, and what the log alone knows."""

import pytest

from byline.errors import InvalidTask, UnsupportedModel
from byline_service.http.problems import describe_error


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def test_words_of_the_tasks_own_code_stay_in_the_log(capfd):
    wrapped = raised(InvalidTask("row 7: reading it raised OSError: s3cr3t"), OSError("s3cr3t"))
    kind, detail = describe_error(raised(InvalidTask("row 7: s3cr3t"), wrapped))
    assert (kind.status, kind.name) == (500, "wrong-task")
    assert "operator" in detail
    assert "s3cr3t" not in detail


def test_what_byline_itself_says_of_a_task_is_told(capfd):
    for error in (UnsupportedModel("module 'x'"), raised(InvalidTask("field"), InvalidTask("cause"))):
        kind, detail = describe_error(error)
        assert (kind.status, detail) == (500, str(error))


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        ("/v1/keys", {"name": 3, "person": "eve", "scopes": ["read", "c4n4ry"]}, ["/name", "/scopes/1"]),
        ("/v1/keys", {"name": "a", "person": "eve", "scopes": ["read"], "c4n4ry": 1}, [""]),
        ("/v1/keys", {"c4n4ry/~": {"c4n4ry": []}}, ["/name", "/person", "/scopes", ""]),
        ("/v1/indexes/fake/attributions", {"query": {"text": 5}}, ["/query/text"]),
        ("/v1/indexes/fake/attributions", {"queries": [{"text": "a"}, {"text": 5}]}, ["/queries/1/text"]),
        ("/v1/indexes/fake/attributions", {"query_set": [{"text": "a"}, {}]}, ["/query_set/1/text"]),
    ],
)
def test_a_problem_points_to_the_wrong_parts_of_a_body(served, path, body, pointers):
    answer = served.client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    parts = answer.json()["errors"]
    assert sorted(each["pointer"] for each in parts) == sorted(pointers)
    assert all(each["detail"] and "c4n4ry" not in str(each) for each in parts)


def test_a_problem_names_the_wrong_parameters(served):
    answer = served.client.get("/v1/usage?days=c4n4ry&limit=0").json()
    assert {each["parameter"] for each in answer["errors"]} == {"days", "limit"}
    assert "c4n4ry" not in str(answer)
    assert "errors" not in served.client.get("/v1/keys?c4n4ry=1").json()
