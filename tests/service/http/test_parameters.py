"""Query parameters that an operation does not have are refused, after the key was checked."""

import pytest

from tests.service.keys import bearer


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/indexes/fake/owners?limits=3", "limit"),
        ("/v1/keys?x=1", "limit"),
        ("/v1/indexes?owner=ada", "after, limit"),
        ("/v1/policies?after=a&limit=1&offset=2", "after, limit"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_known_ones(served, path, names):
    answer = served.client.get(path)
    assert answer.status_code == 422, answer.text
    assert names in answer.json()["detail"]
    assert "got 1 unknown" in answer.json()["detail"]


def test_known_parameters_are_taken(served):
    assert served.client.get("/v1/policies?after=WyJhIl0&limit=1").status_code == 200


def test_a_key_is_checked_first(served):
    assert served.client.get("/v1/keys?x=1", headers={"authorization": "Bearer byl_wrong"}).status_code == 401
    reader = served.key_for(scopes=["read"], person="eve")
    assert served.client.get("/v1/keys?x=1", headers=bearer(reader)).status_code == 403
