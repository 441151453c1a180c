"""Two persons behind a payment: no one makes up the second one, in whatever order and over however many keys."""

import pytest

from byline_service.accounts.keys import parse_key
from tests.service.fakes import fake_attributor
from tests.service.keys import bearer

QUERY = {"query": {"text": "hello", "label": 1}}
POLICY = {"name": "royalties", "currency": "EUR", "pool": 100_000}
ADMIN = ["admin"]


class Office:
    """A service, and the keys of its people."""

    def __init__(self, served, clock):
        self.served, self._count = served, 0
        self.keys = {name: served.key_for(scopes=ADMIN, person=name) for name in ("root", "ada")}
        self.send("root", "/v1/policies", POLICY)
        self.send("root", "/v1/indexes/fake/events", QUERY)
        self.period = clock.end_month()

    def send(self, person, path, body=None):
        self._count += 1
        headers = bearer(self.keys[person]) | {"idempotency-key": str(self._count)}
        return self.served.client.post(path, json=body, headers=headers)

    def make(self, maker, person, scopes=ADMIN, key=None):
        """Have one person make another's key."""
        made = self.send(maker, "/v1/keys", {"name": "x", "person": person, "scopes": scopes})
        assert made.status_code == 201, made.text
        self.keys[key or person] = made.json()["key"]

    def rotate(self, maker, person, key):
        path = f"/v1/keys/{parse_key(self.keys[person]).id}/rotate"
        self.keys[key] = self.send(maker, path, {"overlap_hours": 1}).json()["key"]

    def draft(self):
        return {"draft": {"kind": "allocation", "policy": "royalties", "period": self.period}}

    def approved(self, drafter, approver):
        """The status of an approval."""
        run = self.send(drafter, "/v1/statement-runs", self.draft())
        assert run.status_code == 201, run.text
        return self.send(approver, f"/v1/statement-runs/{run.json()['id']}/approve").status_code


@pytest.fixture
def office(serve, ledger_clock):
    return Office(serve({"fake": fake_attributor(members=3, checkpoints=3)[0]}), ledger_clock)


def test_two_persons_of_the_command_line_approve_each_others_runs(office):
    assert office.approved("root", "ada") == 200
    assert office.approved("ada", "root") == 200


def test_who_made_the_approvers_key_drafts_nothing_for_it(office):
    office.make("ada", "puppet", ["read", "approve"])
    assert office.approved("ada", "puppet") == 403
    assert office.approved("root", "puppet") == 200


def test_nor_through_a_key_that_another_key_made(office):
    office.make("ada", "first")
    office.make("first", "second")
    office.make("second", "third", ["approve"])
    assert office.approved("ada", "third") == 403
    assert office.approved("first", "third") == 403


def test_nor_the_other_way_round(office):
    office.make("ada", "puppet", ["compensate"])
    assert office.approved("puppet", "ada") == 403
    assert office.approved("puppet", "root") == 200


def test_nor_with_two_persons_of_one_maker(office):
    office.make("ada", "left", ["compensate"])
    office.make("ada", "right", ["approve"])
    assert office.approved("left", "right") == 403


def test_nor_with_a_second_key_of_a_person_that_was_made_up(office):
    office.make("ada", "puppet", ["approve"])
    office.keys["puppet"] = office.served.key_for(scopes=["approve"], person="puppet")
    assert office.approved("ada", "puppet") == 403


def test_nor_with_a_second_key_of_a_real_person(office):
    office.keys["grace"] = office.served.key_for(scopes=["approve"], person="grace")
    office.make("ada", "grace", ["approve"], key="stolen")
    assert office.approved("ada", "stolen") == 403
    assert office.approved("ada", "grace") == 200


def test_nor_with_a_rotated_key(office):
    office.keys["grace"] = office.served.key_for(scopes=["approve"], person="grace")
    office.rotate("ada", "grace", "rotated")
    assert office.approved("ada", "rotated") == 403
    assert office.approved("ada", "grace") == 200


def test_a_run_shows_whose_keys_acted_and_who_made_them(office):
    office.make("root", "drafter", ["read", "compensate"])
    run = office.send(
        "drafter", "/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}}
    ).json()
    assert office.send("ada", f"/v1/statement-runs/{run['id']}/approve").status_code == 200
    hands = office.send("ada", f"/v1/statement-runs/{run['id']}/post").json()["hands"]
    assert [each["act"] for each in hands] == ["draft", "approval", "posting"]
    assert [each["key_made_by"] for each in hands] == ["root", "operator", "operator"]
    assert [each["person_made_by"] for each in hands] == ["root", "operator", "operator"]
    assert hands[0]["key"] == parse_key(office.keys["drafter"]).id
    assert all(each["key_made_at"] and each["person_made_at"] for each in hands)
    page = office.served.client.get(
        f"/compensation/runs/{run['id']}", headers=bearer(office.keys["ada"])
    ).text
    assert hands[0]["key"] in page
    owner = office.served.key_for(scopes=["read"], owners=[f"owner {n}" for n in range(3)], person="owner")
    narrow = office.served.client.get(f"/v1/statements/{run['id']}", headers=bearer(owner)).json()
    assert narrow["hands"] == []


def test_the_page_says_why_an_approver_cannot_approve(office):
    office.make("ada", "puppet", ["approve"])
    run = office.send(
        "ada", "/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}}
    ).json()
    page = office.served.client.get(f"/compensation/runs/{run['id']}", headers=bearer(office.keys["puppet"]))
    assert page.status_code == 200, "approvers read"
    assert "could hold both your key and the drafter" in page.text


def test_an_approver_rejects_with_a_comment_and_that_is_final(office):
    run = office.send(
        "root", "/v1/statement-runs", {"draft": {"kind": "allocation", "policy": "royalties"}}
    ).json()
    path = f"/v1/statement-runs/{run['id']}"
    assert office.send("ada", f"{path}/reject").status_code == 415
    assert office.send("ada", f"{path}/reject", {"comment": ""}).status_code == 422
    assert office.send("ada", f"{path}/reject", {"comment": " "}).status_code == 422
    assert office.send("root", f"{path}/reject", {"comment": "mine"}).status_code == 403
    assert office.send("ada", f"{path}/approve").status_code == 200
    rejected = office.send("ada", f"{path}/reject", {"comment": "owner 1 is disputed"}).json()
    assert (rejected["state"], rejected["steps"][-1]["comment"]) == ("rejected", "owner 1 is disputed")
    for step in ("approve", "post", "void"):
        assert office.send("ada", f"{path}/{step}").status_code == 409
    assert office.send("ada", f"{path}/reject", {"comment": "again"}).status_code == 409
    assert office.approved("root", "ada") == 200, "its events are open"
    found = office.served.client.get("/v1/ledger/verification", headers=bearer(office.keys["ada"])).json()
    assert found["findings"] == []
    page = office.served.client.get(f"/compensation/runs/{run['id']}", headers=bearer(office.keys["ada"]))
    assert "owner 1 is disputed" in page.text


def test_a_run_waits_for_those_alone_who_can_approve_it(office):
    office.make("ada", "puppet", ["approve"])
    made = office.send("ada", "/v1/statement-runs", office.draft())
    assert made.status_code == 201, made.text
    for person, words in (("puppet", "1 run waits for another person"), ("root", "1 run waits for you")):
        text = office.served.client.get("/compensation", headers=bearer(office.keys[person])).text
        assert words in text, person
