"""Whatever a reader of one owner asks, with ids and cursors of others, no answer holds a word of another owner."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.fakes import fake_attributor
from tests.service.keys import bearer
from tests.service.ledger_clock import LedgerClock
from tests.service.permissions import PERMISSIONS

OWN = "owner 1"
FOREIGN = re.compile(r"owner [02]|docs/(\d+)/|example\.org/(\d+)|alert\((\d+)\)")
OWNED = sorted(
    path for (method, path), needs in PERMISSIONS.items() if method == "GET" and needs and needs.owner_scoped
)
QUERY = ("after", "before", "limit", "owner", "policy", "label", "license", "id", "next", "name")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A service with a posted statement of three owners, seen by an admin and by a reader of one owner.

    Yields:
        The client, the reader's header, and every text that an admin sees.
    """
    from starlette.testclient import TestClient

    from byline_service.app import create_app
    from tests.service.keys import admin_key, make_key, prepared

    app = create_app(
        prepared(tmp_path_factory.mktemp("leaks")), {"fake": fake_attributor(members=3, checkpoints=3)[0]}
    )
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:

        def key(**wanted):
            return client.portal.call(lambda: make_key(app.state.service.database, **wanted))

        other = bearer(key(scopes=["admin"], person="another"))
        root = bearer(admin_key())
        with pytest.MonkeyPatch.context() as patched:
            run = post(client, root, LedgerClock(patched))
        for step in ("approve", "post"):
            path = f"/v1/statement-runs/{run}/{step}"
            assert client.post(path, headers=other | {"idempotency-key": step}).status_code == 200
        texts = seen(client, root, run)
        yield client, bearer(key(scopes=["read"], owners=[OWN])), texts


def post(client, root, clock):
    bodies = {
        "/v1/policies": {"name": "royalties", "currency": "EUR", "pool": 100_000},
        "/v1/indexes/fake/events": {"query": {"text": "hello", "label": 1}},
        "/v1/statement-runs": {"draft": {"kind": "allocation", "policy": "royalties"}},
    }
    for path, body in bodies.items():
        if path == "/v1/statement-runs":
            body["draft"]["period"] = clock.end_month()
        made = client.post(path, json=body, headers=root | {"idempotency-key": path[:20]})
        assert made.status_code == 201, made.text
    return made.json()["id"]


def seen(client, root, run):
    """Every text and number that an admin finds: ids, names, cursors."""
    found = {"fake", run}
    paths = [path for method, path in PERMISSIONS if method == "GET" and path.startswith("/v1")]
    for path in paths:
        named = path.replace("{name}", "fake").replace("{run}", run).replace("{policy}", "royalties")
        for query in ("", "?limit=3"):
            answer = client.get(named + query, headers=root)
            if answer.headers["content-type"] == "application/json":
                collect(answer.json(), found)
    return sorted(text for text in found if len(text) < 200)


def collect(value, found):
    if isinstance(value, dict):
        for each in value.values():
            collect(each, found)
    elif isinstance(value, list):
        for each in value[:20]:
            collect(each, found)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        found.add(str(value))


def foreign(text):
    """What of another owner a text holds: owners' names, and rows that are not the reader's (one in three is)."""
    for found in FOREIGN.finditer(text):
        row = next((group for group in found.groups() if group is not None), None)
        if row is None or int(row) % 3 != 1:
            return found.group()
    return None


def test_an_admin_sees_them_all(world):
    _, _, texts = world
    assert any("owner 0" in text for text in texts)
    assert foreign(json.dumps(texts)) is not None


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_of_another_owner_comes_back(world, data):
    client, reader, texts = world
    path = data.draw(st.sampled_from(OWNED))
    values = st.sampled_from(texts)
    for name in re.findall(r"{(\w+)}", path):
        drawn = "fake" if name == "name" and data.draw(st.booleans()) else data.draw(values)
        path = path.replace("{" + name + "}", quote(drawn))
    chosen = data.draw(st.lists(st.sampled_from(QUERY), max_size=3))
    parameters = [(name, data.draw(values)) for name in chosen]
    answer = client.get(path, params=parameters, headers=reader, follow_redirects=False)
    assert answer.status_code < 500
    assert foreign(answer.text) is None, (path, parameters, answer.text[:500])
