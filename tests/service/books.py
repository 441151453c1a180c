"""Bookkeeping on a database without a service."""

from dataclasses import dataclass

from byline.api.holds import HoldBody, Subject
from byline.api.parties import PartyBody
from byline.api.payouts import ConfirmationBody
from byline_service.accounts.scopes import Caller
from byline_service.compensation.consents import Consent, ConsentsFact
from byline_service.compensation.drafting import Release
from byline_service.compensation.payouts import WantedPayout
from byline_service.compensation.rosters import Roster
from byline_service.ledger import (
    consent_queries,
    entry_queries,
    holding,
    payout_workflow,
    rights_queries,
    roster_queries,
    run_workflow,
    statement_queries,
)
from byline_service.ledger.booking import book_event, revise_policy
from byline_service.ledger.heads import Head
from byline_service.ledger.party_records import record_party
from byline_service.ledger.verify import verify
from tests.service.compensation.reference import KEY, event, policy
from tests.service.databases import UsedDatabase
from tests.service.ledger_clock import LedgerClock


def caller(person):
    return Caller(key_id=f"key-{person}"[:12], person=person, scopes=frozenset())


@dataclass
class Books:
    """Bookkeeping on a migrated database, without a service. It begins in March 2026."""

    used: UsedDatabase
    clock: LedgerClock

    def do(self, work, *arguments, person="ada"):
        return self.used.booked(work, caller(person), *arguments)

    def read(self, work, *arguments):
        async def within(database):
            async with database.read() as reading:
                return await work(reading, *arguments)

        return self.used.run(within)

    def policy(self, **changes):
        return self.do(revise_policy, policy(**changes))

    def book(self, scores, **changes):
        return self.do(book_event, event(scores, **changes), KEY.public)

    def draft(self, name="royalties", period=None, person="ada", kind="allocation"):
        """Draft a run of a period. Without one, the present month ends first."""
        chosen = period or self.clock.end_month()
        prepared = self.used.run(lambda database: run_workflow.prepare_division(database, kind, name, chosen))
        return self.do(run_workflow.draft, prepared, person=person).id

    def adjust(self, period, name="royalties"):
        return self.draft(name, period, kind="adjustment")

    def release(self, reason, amounts=None, account="escrow"):
        wanted = Release(account=account, reason=reason, amounts=amounts)
        return self.do(run_workflow.release, "royalties", wanted).id

    def hold(self, owner, nature="hold", person="ada", **work):
        """Place a hold on an owner, or on a work of an index."""
        wanted = HoldBody(subject=Subject(owner=owner, **work), nature=nature, reason="a claim")
        return self.do(holding.place, wanted, person=person).id

    def roster(self, sizes, index="digits", version="0123456789ab"):
        """Record the owners of a version."""
        made = Roster(index=index, version=version, manifest="a" * 64, sizes=sizes)
        return self.do(roster_queries.record, made)

    def consent(self, status="prohibited", since="2026-03-01T00:00:00.000000Z", version=None, **subject):
        """Record a consent for the works of an owner, or for one work."""
        made = Consent(
            subject=Subject(**{"index": "digits"} | subject),
            version=version,
            status=status,
            since=since,
            source="a letter",
        )
        return self.do(consent_queries.record, ConsentsFact(consents=(made,)))

    def party(self, name):
        """Record a party."""
        return self.do(record_party, PartyBody(name=name))

    def rights(self, csv, index="digits"):
        """Record a rights table."""
        return self.do(rights_queries.revise_rights, index, csv)

    def end_hold(self, hold_id, person="grace"):
        return self.do(holding.end, hold_id, "agreed", person=person)

    def prepare(self, amounts=None, name="royalties", person="ada", **more):
        """Prepare a payout."""
        wanted = WantedPayout(amounts=amounts, **more)
        return self.do(payout_workflow.prepare, name, wanted, person=person).id

    def confirm(self, run_id, reference="B1", day=None, returned=(), person="grace"):
        """Confirm a payout by the bank's statement of today."""
        day = day or str(self.clock.now.date())
        body = ConfirmationBody(reference=reference, value_date=day, returned=list(returned))
        return self.do(payout_workflow.confirm, run_id, body, person=person)

    def paid(self, reference="B1", amounts=None, returned=()):
        """Pay out what is payable."""
        run_id = self.prepare(amounts)
        self.posted(run_id)
        self.confirm(run_id, reference, returned=returned)
        return run_id

    def reverse(self, run_id):
        return self.posted(self.do(run_workflow.reverse, run_id, "a mistake").id)

    def account(self, account, name="royalties"):
        """Balances of an account, by owner, without the empty ones."""
        balances = self.read(entry_queries.balances, name)
        return {owner: amount for (kind, owner), amount in balances.items() if kind == account and amount}

    def statement(self, run_id):
        return self.read(statement_queries.find, run_id)[1].statement

    def lines(self, run_id):
        return self.statement(run_id).allocation.lines

    def warned(self, run_id):
        """Kinds of warnings, with the number or the amount, and the other policy if there is one."""
        row, _ = self.read(statement_queries.find, run_id)
        return [
            (each.kind, each.events or each.amount, *([each.policy] if each.policy else []))
            for each in row.warnings
        ]

    def funded(self, name="royalties"):
        """What left the funding account so far."""
        return -self.read(entry_queries.balances, name).get(("funding", None), 0)

    def approve(self, run_id, person="grace"):
        return self.do(run_workflow.approve, run_id, person=person)

    def post(self, run_id, person="grace"):
        return self.do(run_workflow.post, run_id, person=person)

    def posted(self, run_id):
        self.approve(run_id)
        return self.post(run_id)

    def verify_heads(self, heads):
        """What is found in a ledger that must have these heads."""
        return self.used.run(lambda database: verify(database, heads)).findings

    def heads(self):
        """The heads of both logs."""
        found = self.verify()
        return [Head("journal", found.records, found.head)] * bool(found.records) + [
            Head("audit", found.audit, found.audit_head)
        ]

    def verify(self, noted=None):
        heads = [] if noted is None else [Head("journal", *noted)]
        return self.used.run(lambda database: verify(database, heads))
