"""Clients that book, pay and reverse, and repeat each act under its idempotency key until it is acknowledged."""

import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.system.service_kills import Answer, Books, Client, Service, body_of

POLICY = "royalties"
EVENTS = "/v1/indexes/tiny/events"
RUNS = "/v1/statement-runs"
OWNERS = tuple(f"owner-{n}" for n in range(4))
PACE = 0.08
"""Mean seconds between the things that one client does."""


@dataclass(frozen=True)
class Act:
    """An acknowledged act: the request, the first answer, and the journal's record of it."""

    path: str
    person: str
    body: Any
    status: int
    answer: Any
    record: tuple[str, str]
    """Kind of the record, and id of its subject."""


@dataclass
class MoneyBooks(Books):
    """Acknowledged acts, as the clients saw them."""

    acts: dict[str, Act] = field(default_factory=dict)
    """Acts by idempotency key."""
    runs: list[str] = field(default_factory=list)
    """Posted runs."""
    refused: int = 0
    """Requests that the state of the books refused."""


@dataclass(frozen=True)
class Desk:
    """The service, its records and its persons."""

    service: Service
    books: MoneyBooks
    stop: threading.Event
    keys: dict[str, str]
    """API keys of the persons."""


class MoneyClient(Client):
    """A client with a name, whose acts are recorded.

    Args:
        desk: The service and its records.
        label: First part of its idempotency keys.
        seed: Seed of its choices.
    """

    def __init__(self, desk: Desk, label: str, seed: int) -> None:
        super().__init__(desk.service, desk.books, desk.stop)
        self.desk, self.label, self.acts = desk, label, desk.books
        self.chance, self.numbers = random.Random(seed), itertools.count()

    def run(self) -> None:
        while not self.stopped.is_set():
            self.once()
            self.stopped.wait(self.chance.uniform(0, 2 * PACE))

    def once(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    def act(self, kind: str, path: str, person: str, body: Any = None, *, run: str = "") -> Answer:
        """Act once, and record the act if it was done.

        Args:
            kind: Kind of the journal's record.
            path: Path of the request.
            person: The person who acts.
            body: Body of the request.
            run: Run of the record. Empty if the answer names it.
        """
        once = f"{self.label}-{next(self.numbers)}"
        return self.repeat(once, kind, path, person, body, run=run)

    def repeat(
        self, once: str, kind: str, path: str, person: str, body: Any = None, *, run: str = ""
    ) -> Answer:
        """Act under an idempotency key."""
        answer = self.until_answered(path, self.desk.keys[person], once, body)
        if answer.status in {200, 201}:
            record = (kind, run or answer.body["id"])
            self.acts.acts[once] = Act(path, person, body, answer.status, answer.body, record)
        else:
            self.acts.refused += 1
        return answer


class EventBooker(MoneyClient):
    """A client that books questions, and every third time a receipt, which it then sends again under another key."""

    def once(self) -> None:
        n = next(self.numbers)
        once = f"{self.label}-{n}"
        body = body_of(once, n)
        if n % 3 == 0:
            asked = {"query": body["query"], "shares": True, "members": True}
            path = "/v1/indexes/tiny/attributions"
            answer = self.until_answered(path, self.desk.keys["ada"], f"{once}-asked", asked)
            body = {"receipt": answer.body["receipt"], "reference": once, "weight": body["weight"]}
        answer = self.repeat(once, "event", EVENTS, "ada", body)
        if answer.status != 201 or answer.body["reference"] != once:
            self.books.wrong.append(f"{once}: {answer.status} {answer.body}")
        if "receipt" in body:
            again = self.until_answered(EVENTS, self.desk.keys["ada"], f"{once}-again", body)
            if not again.conflict:
                self.books.wrong.append(f"a receipt was booked twice: {again.status} {again.body}")


class Treasurer(MoneyClient):
    """A client that divides, pays, holds and reverses as two persons, against another one that does the same."""

    def __init__(self, desk: Desk, label: str, seed: int) -> None:
        super().__init__(desk, label, seed)
        self.held: str | None = None

    def once(self) -> None:
        things: list[Callable[[], object]] = [self.divide, self.pay, self.reverse, self.release, self.hold]
        self.chance.choices(things, (6, 5, 3, 2, 2))[0]()

    def divide(self, period: str | None = None) -> None:
        """Divide the pool of a period: the last one that ended, or one whose run was reversed."""
        self.post({"kind": "allocation", "policy": POLICY, "period": period})

    def release(self) -> None:
        """Pay escrow or held amounts out."""
        account = self.chance.choice(["escrow", "held"])
        self.post({"kind": "release", "policy": POLICY, "account": account, "reason": "agreed"})

    def reverse(self) -> None:
        """Take a run back, and divide its pool again."""
        if not self.acts.runs:
            return
        run = self.chance.choice(self.acts.runs[-12:])
        done = self.post({"kind": "reversal", "run": run, "reason": "wrong"})
        if done and self.chance.random() < 0.7:
            known = list(self.acts.acts.values())  # the other clients add to it
            read = next(act.answer for act in known if act.record == ("posting", run))
            if read.get("kind") == "allocation":
                self.divide(read["period"])

    def hold(self) -> None:
        """Place a hold, or end it: most owners can be paid at any time."""
        if self.held is not None:
            self.act("hold-ended", f"/v1/holds/{self.held}/end", "grace", {"reason": "agreed"})
            self.held = None
            return
        body = {"subject": {"owner": self.chance.choice(OWNERS)}, "reason": "two estates"}
        self.held = self.act("hold", "/v1/holds", "ada", body).body["id"]

    def pay(self) -> None:
        """Pay what is payable, and book it as paid in most cases."""
        prepared = self.act("draft", "/v1/payouts", "ada", {"policy": POLICY})
        if prepared.status != 201 or not self.steps(prepared.body["id"]):
            return
        if self.chance.random() < 0.3:
            return
        run, lines = prepared.body["id"], prepared.body["lines"]
        returned = [line["owner"] for line in lines if self.chance.random() < 0.1]
        body = {
            "reference": f"bank {run}",
            "value_date": prepared.body["prepared_at"][:10],
            "returned": returned,
        }
        self.act("payout-confirmation", f"/v1/payouts/{run}/confirm", "grace", body, run=run)

    def post(self, draft: dict[str, Any]) -> bool:
        """Draft, approve and post a run.

        Returns:
            Whether it is posted.
        """
        drafted = self.act("draft", RUNS, "ada", {"draft": draft})
        return drafted.status == 201 and self.steps(drafted.body["id"])

    def steps(self, run: str) -> bool:
        """Approve and post a draft. The approver rejects it if the books have changed since."""
        for kind, step in (("approval", "approve"), ("posting", "post")):
            if self.act(kind, f"{RUNS}/{run}/{step}", "grace", run=run).status != 200:
                self.act("rejection", f"{RUNS}/{run}/reject", "grace", {"comment": "changed since"}, run=run)
                return False
        self.acts.runs.append(run)
        return True
