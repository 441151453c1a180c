"""Bookkeeping on a database without a service."""

from dataclasses import dataclass

from byline_service.accounts.scopes import Caller
from byline_service.ledger import run_workflow
from byline_service.ledger.booking import book_event, revise_policy
from byline_service.ledger.verify import verify
from tests.service.compensation.reference import event, policy
from tests.service.databases import UsedDatabase


def caller(person):
    return Caller(key_id=f"key-{person}"[:12], person=person, scopes=frozenset())


@dataclass
class Books:
    """Bookkeeping on a migrated database, without a service."""

    used: UsedDatabase

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
        return self.do(book_event, event(scores, **changes))

    def draft(self, name="royalties", since=None, until=None, person="ada"):
        prepared = self.used.run(
            lambda database: run_workflow.prepare_allocation(database, name, since, until)
        )
        return self.do(run_workflow.draft, prepared, person=person).id

    def approve(self, run_id, person="grace"):
        return self.do(run_workflow.approve, run_id, person=person)

    def post(self, run_id, person="grace"):
        return self.do(run_workflow.post, run_id, person=person)

    def posted(self, run_id):
        self.approve(run_id)
        return self.post(run_id)

    def verify(self, noted=None):
        return self.used.run(lambda database: verify(database, noted))
