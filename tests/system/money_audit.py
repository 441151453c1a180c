"""A second reading of the books, with rules of its own: nothing is lost, nothing happens twice, nothing is paid twice."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from byline_service.database import Database
from byline_service.database.tables.compensation import journal, ledger_entries
from byline_service.ledger.heads import Head
from byline_service.ledger.verify import verify

ADMINISTRATION = {"policy", "signing-key", "roster"}
"""Kinds of records without a client."""
DIVISIONS = {"allocation", "adjustment"}


@dataclass
class Audit:
    """The books so far. Only new records are read: `verify` compares the old ones with the noted head."""

    database: Database
    wrong: list[str] = field(default_factory=list)
    """What is wrong."""
    records: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records by kind and subject."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Posted runs by kind."""
    sequence: int = 0
    head: Head | None = None
    names: Counter[str] = field(default_factory=Counter)
    """Events by reference."""
    statements: dict[str, dict[str, Any]] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)
    """Payments of each event, less their reversals."""
    periods: Counter[str] = field(default_factory=Counter)
    """Amount that was divided in each period, less reversals."""
    balances: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Balances by account and owner."""

    async def check(self, acknowledged: Iterable[tuple[str, str]], pool: int) -> None:
        """Read what is new, and check everything.

        Args:
            acknowledged: Records that were acknowledged before.
            pool: Largest amount of a period.
        """
        known = list(acknowledged)
        await self._read()
        verified = await verify(self.database, () if self.head is None else [self.head])
        self.head = Head("journal", verified.records, verified.head)
        self.wrong += [f"verify: {finding.where}: {finding.what}" for finding in verified.findings]
        self.wrong += [f"lost: {record}" for record in known if not self.records[record]]
        self._expect("happened twice", self.records, 1)
        self._expect("was booked twice", self.names, 1)
        self._expect("was paid twice", self.paid, 1)
        self._expect("had more than its pool", self.periods, pool)
        if total := sum(self.balances.values()):
            self.wrong.append(f"the balances sum to {total}")

    def _expect(self, words: str, counts: Counter[Any], most: int) -> None:
        self.wrong += [f"{key} {words}: {n}" for key, n in counts.items() if not 0 <= n <= most]

    async def _read(self) -> None:
        new = select(journal.c.sequence, journal.c.document).where(journal.c.sequence > self.sequence)
        entries = select(ledger_entries).where(ledger_entries.c.sequence > self.sequence)
        async with self.database.read() as reading:
            facts = (await reading.execute(new.order_by(journal.c.sequence))).all()
            rows = (await reading.execute(entries.order_by(ledger_entries.c.sequence))).mappings().all()
        moves = defaultdict(list)
        for row in rows:
            moves[row["sequence"]].append(row)
        for sequence, document in facts:
            if sequence != self.sequence + 1:
                self.wrong.append(f"journal {sequence} follows {self.sequence}")
            self.sequence = sequence
            fact = json.loads(document)["fact"]
            self._see(fact)
            self._move(fact, moves.pop(sequence, []))
        self.wrong += [f"entries of {sequence}, which is no record" for sequence in moves]

    def _see(self, fact: dict[str, Any]) -> None:
        kind = fact["kind"]
        if kind in ADMINISTRATION:
            return
        subject = fact["event"]["id"] if kind == "event" else fact.get("run") or fact["hold"]
        self.records[kind, subject] += 1
        if kind == "event":
            self.names[fact["event"]["reference"]] += 1
        elif kind == "draft":
            self.statements[subject] = fact["statement"]
        elif kind == "posting":
            self._count(self.statements[subject])

    def _count(self, statement: dict[str, Any]) -> None:
        self.kinds[statement["kind"]] += 1
        sign, division = 1, statement
        if statement["kind"] == "reversal":
            sign, division = -1, self.statements[statement["run"]]
        if division["kind"] in DIVISIONS:
            self.paid.update({event["id"]: sign for event in division["events"]})

    def _move(self, fact: dict[str, Any], rows: list[Any]) -> None:
        """Add a record's entries. Only a reversal may take more than an account holds, and only from `payable`."""
        statement = self.statements.get(fact.get("run", ""), {})
        if rows and fact["kind"] not in {"posting", "payout-confirmation"}:
            self.wrong.append(f"{fact['kind']} moves money")
        for row in rows:
            self.balances[row["account"], row["owner"] or ""] += row["amount"]
        if sum(row["amount"] for row in rows):
            self.wrong.append(f"the entries of {fact['run']} do not sum to zero")
        for account, owner in {(row["account"], row["owner"] or "") for row in rows}:
            free = account == "funding" or (account == "payable" and statement["kind"] != "payout")
            if not free and self.balances[account, owner] < 0:
                self.wrong.append(f"{fact['kind']} of {fact['run']} leaves {account} of {owner} below zero")
        division = statement if fact["kind"] == "posting" else {}
        if division.get("kind") == "reversal":
            division = self.statements[division["run"]]
        if division.get("kind") in DIVISIONS:
            spent = -sum(row["amount"] for row in rows if row["account"] == "funding")
            self.periods[division["period"]] += spent
