"""From an event to a statement through both clients; and what is sent twice happens once."""

import asyncio

import httpx
import pytest
import torch

from byline.client import (
    AdjustmentBody,
    AllocationBody,
    Client,
    Forbidden,
    InvalidRequest,
    KeyReused,
    NewKeyBody,
    NotPayable,
    OwnerSearch,
    Payee,
    PolicyBody,
    ReleaseBody,
    ReversalBody,
    Scope,
)
from byline_service.app import create_app
from byline_service.database import Database
from byline_service.database.engine import sqlite_url
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, make_key, prepared
from tests.service.live import listening

QUERY = {"text": "hello", "label": 1}
FORMS = ["query", "query_set", "gradient", "feature"]
POLICY = PolicyBody(name="royalties", currency="EUR", pool=100_000, asked=FORMS)


@pytest.fixture
def url(tmp_path):
    """A service over an ensemble of three checkpoints, and one of a single model.

    Yields:
        Its address.
    """
    indexes = {
        "fake": fake_attributor(members=3, checkpoints=3)[0],
        "lone": fake_attributor(members=1, name="lone")[0],
    }
    with listening(create_app(prepared(tmp_path), indexes)) as address:
        yield address


def made_on_the_server(folder, person, scopes):
    """A key of the command line: a drafter's and an approver's have no maker in common."""

    async def make():
        database = Database(sqlite_url(folder / "byline.sqlite"))
        try:
            return await make_key(database, scopes=scopes, person=person)
        finally:
            await database.dispose()

    return asyncio.run(make())


@pytest.fixture
def people(twin, url, tmp_path):
    """Clients of who drafts, of who approves, and of an owner."""
    admin = twin(url, admin_key())
    drafter = NewKeyBody(name="test", person="ada", scopes=[Scope.READ, Scope.COMPENSATE])
    keys = {
        "ada": admin.create_key(drafter).key,
        "grace": made_on_the_server(tmp_path, "grace", [Scope.READ, Scope.APPROVE]),
    }
    reader = NewKeyBody(
        name="test", person="ash", scopes=[Scope.READ], owners=[f"owner {o}" for o in range(3)]
    )
    keys["ash"] = admin.create_key(reader).key
    return admin, *(twin(url, keys[person]) for person in ("ada", "grace", "ash"))


def test_from_events_to_a_statement_and_back(people, ledger_clock):
    admin, ada, grace, ash = people
    assert admin.revise_policy(POLICY).policy.revision == 1
    booked = ada.book_event("fake", QUERY, weight=3, reference="generation 7")
    assert (booked.weight, booked.reference) == (3, "generation 7")
    ada.book_event_set("fake", [QUERY, {"text": "other"}], target="margin")
    ada.book_event_feature("fake", [0.5] * 18)
    ada.book_event_tensors("fake", {f"c{m}-m{m}/w": torch.ones(6) for m in range(3)}, weight=2)
    assert [each.weight for each in ada.events("fake", page_size=3)] == [2, 1, 1, 3]
    assert {each.owner for each in ada.event("fake", booked.id).shares} == {f"owner {o}" for o in range(3)}
    with pytest.raises(Forbidden):
        ada.revise_policy(POLICY)
    assert [each.policy.name for each in ada.policies()] == ["royalties"]
    assert len(list(ada.policy("royalties"))) == 1
    period = ledger_clock.end_month()
    seen = ada.preview_run("royalties", period)
    assert (seen.events, seen.totals.pool, list(ada.runs())) == (4, 100_000, [])
    run = ada.draft_run(AllocationBody(kind="allocation", policy="royalties", period=period))
    with pytest.raises(Forbidden):
        ada.approve_run(run.id)
    grace.approve_run(run.id)
    assert grace.post_run(run.id).state == ada.run(run.id).state == "posted"
    statement = ada.statement(run.id)
    assert (statement.events, statement.totals.pool) == (4, 100_000)
    assert (ash.statement(run.id).lines, ash.statement(run.id).totals) == (statement.lines, None)
    assert [each.id for each in ash.statements(page_size=1)] == [run.id]
    assert statement.lines[0].owner in ada.statement_csv(run.id, owner=statement.lines[0].owner)
    owner = statement.lines[0].owner
    assert ash.statement_pdf(run.id, owner=owner).startswith(b"%PDF-")
    assert [(each.run.id, each.line) for each in ash.owner_statements(owner)] == [
        (run.id, statement.lines[0])
    ]
    found = list(ada.owner_accounts("royalties", OwnerSearch(sort="owner", order="asc"), page_size=2))
    assert [each.owner for each in found] == [line.owner for line in statement.lines]
    assert sum(each.amount for each in ada.ledger("royalties", page_size=2)) == 0
    assert sum(each.amount for each in ada.balances()) == 0
    assert (run.period, run.warnings) == ("2026-03", [])
    with pytest.raises(InvalidRequest, match="found none"):
        ada.draft_run(AdjustmentBody(kind="adjustment", policy="royalties", period=period))
    void = ada.draft_run(ReversalBody(kind="reversal", run=run.id, reason="a mistake"))
    assert ada.void_run(void.id).state == "void"
    again = ada.draft_run(ReversalBody(kind="reversal", run=run.id, reason="a mistake"))
    rejected = grace.reject_run(again.id, "it was none")
    assert (rejected.state, rejected.steps[0].comment) == ("rejected", "it was none")
    hands = {each.act: each for each in ada.run(run.id).hands}
    assert (hands["draft"].key_made_by, hands["approval"].key_made_by) == ("tester", "operator")
    assert {each.name: each.made_by for each in admin.persons(page_size=1)} == {
        "ada": "tester",
        "ash": "tester",
        "grace": "operator",
        "tester": "operator",
    }
    released = ada.draft_run(ReleaseBody(kind="release", policy="royalties", reason="an agreement"))
    assert [each.id for each in ada.runs(page_size=1)] == [released.id, again.id, void.id, run.id]


def test_a_payout_through_both_clients(people, ledger_clock):
    admin, ada, grace, _ = people
    admin.revise_policy(POLICY.model_copy(update={"confidence": None, "multiplier": 0}))
    ada.book_event("fake", QUERY)
    run = ada.draft_run(
        AllocationBody(kind="allocation", policy="royalties", period=ledger_clock.end_month())
    )
    grace.approve_run(run.id)
    grace.post_run(run.id)
    owner = next(line.owner for line in ada.statement(run.id).lines if line.payable > 1)
    payee = Payee(name="Ash", iban="DE89370400440532013000")
    payout = ada.prepare_payout("royalties", {owner: 2}, {owner: payee})
    grace.approve_run(payout.id)
    grace.post_run(payout.id)
    with pytest.raises(Forbidden):
        ada.confirm_payout(payout.id, "B1", payout.prepared_at[:10])
    assert grace.confirm_payout(payout.id, "B1", payout.prepared_at[:10]).state == "paid"
    assert [(each.total, each.lines[0].payee) for each in ada.payouts(page_size=1)] == [(2, payee)]
    assert ada.payout(payout.id).confirmed_by == "grace"
    assert ada.prepare_payout("royalties").receivables == []


def test_a_receipt_is_booked_as_it_was_signed(people):
    admin, ada, _, _ = people
    receipt = admin.attribute("fake", QUERY, shares=True, members=True).receipt
    booked = ada.book_event_receipt("fake", receipt, weight=2)
    assert (booked.id, booked.weight, booked.signature) == (receipt.content.id, 2, receipt.signature)
    assert [each.id for each in ada.signing_keys() if each.current] == [receipt.signature.key]


def test_what_cannot_be_paid_for_is_not_booked(people):
    _, ada, _, _ = people
    with pytest.raises(NotPayable, match="no_interval"):
        ada.book_event("lone", QUERY)


def test_a_key_of_ones_own_books_once(people):
    _, ada, _, _ = people
    first = ada.book_event("fake", QUERY, idempotency_key="generation-7")
    assert ada.book_event("fake", QUERY, idempotency_key="generation-7") == first
    with pytest.raises(KeyReused):
        ada.book_event("fake", {"text": "another"}, idempotency_key="generation-7")
    assert len(list(ada.events("fake"))) == 1


class Losing(httpx.HTTPTransport):
    """Loses the first answer on its way back."""

    lost = False

    def handle_request(self, request):
        response = super().handle_request(request)
        if request.method == "POST" and not self.lost:
            self.lost = True
            response.read()
            raise httpx.ReadError("lost on the way back")
        return response


def test_an_answer_that_is_lost_does_not_book_twice(url, monkeypatch):
    monkeypatch.setattr("byline.client.synchronous.time.sleep", lambda _: None)
    with httpx.Client(transport=Losing()) as http, Client(url, admin_key(), http=http) as client:
        booked = client.book_event("fake", QUERY)
        assert list(client.events("fake")) == [booked]
