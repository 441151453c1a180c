"""Fixtures that the test modules of this folder share."""

import pytest

from tests.service.fakes import fake_attributor
from tests.service.keys import bearer


class Api:
    """A client for each role, and a new idempotency key with each request."""

    def __init__(self, served, clock=None):
        self.served, self.clock, self._number = served, clock, 0
        scopes = {"ada": ["read", "compensate"], "grace": ["read", "approve"], "root": ["admin"]}
        self.keys = {person: served.key_for(scopes=each, person=person) for person, each in scopes.items()}
        self.keys["ash"] = served.key_for(scopes=["read"], owners=["owner 1"], person="ash")

    def post(self, path, body=None, *, as_="ada", key=None, **more):
        self._number += 1
        headers = bearer(self.keys[as_]) | {"idempotency-key": key or f"request-{self._number}"}
        return self.served.client.post(path, json=body, headers=headers, **more)

    def get(self, path, *, as_="ada", **more):
        return self.served.client.get(path, headers=bearer(self.keys[as_]), **more)

    def draft(self, **more):
        """Draft the run of a month. Without a name, the present one ends first."""
        period = more.pop("period", None) or self.clock.end_month()
        body = {"kind": "allocation", "policy": "royalties", "period": period}
        return self.post("/v1/statement-runs", {"draft": body | more})

    def posted(self, body=None):
        run = self.draft() if body is None else self.post("/v1/statement-runs", body)
        assert run.status_code == 201, run.text
        path = f"/v1/statement-runs/{run.json()['id']}"
        assert self.post(f"{path}/approve", as_="grace").status_code == 200
        assert self.post(f"{path}/post", as_="grace").json()["state"] == "posted"
        return run.json()["id"]


@pytest.fixture
def api(serve, ledger_clock):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    return Api(serve({"fake": attributor}), ledger_clock)
