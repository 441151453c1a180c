"""The page after signing in is tested with what waits: `compensation/test_overview.py`; here, who has nothing to do."""

from tests.service.keys import bearer


def start(served, **key):
    headers = bearer(served.key_for(**key))
    return served.client.get("/start", headers=headers, follow_redirects=False).headers["location"]


def test_without_work_a_key_opens_what_it_is_for(served):
    assert start(served, scopes=["query", "read"]) == "/"
    assert start(served, scopes=["approve"]) == "/compensation"
    assert start(served, scopes=["read"], owners=["owner 1"]) == "/compensation"
