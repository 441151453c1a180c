"""Questions whose answers are recorded."""

from tests.service.keys import bearer

RECORD = "/v1/indexes/fake/answers"
BODY = {"question": {"query": {"text": "hello"}, "k": 3, "shares": True}}
SCOPES = ["read", "query"]


def recorded(served, key, **more):
    """Ask and record."""
    return served.client.post(RECORD, json=BODY | more, headers=bearer(key))


def people(served):
    """Keys of two persons."""
    return {name: served.key_for(scopes=SCOPES, person=name) for name in ("ada", "grace")}
