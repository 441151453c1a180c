"""Amounts of owners divided among parties, against exact fractions, and recomputed by the replay to the byte."""

import random
from fractions import Fraction

import pytest

from byline.api.parties import PartyIdentifiers
from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import Candidates, draft_allocation
from byline_service.compensation.journal import PolicyRevised, SigningKeyAdded
from byline_service.compensation.parties import Party, PartyRecorded
from byline_service.compensation.rights import (
    WHOLE,
    RightsBook,
    RightsRevised,
    RightsRow,
    RightsTable,
    last_day,
    row_order,
)
from byline_service.compensation.runs import RunConflict, carried_of
from byline_service.compensation.splits import (
    PartyShares,
    require_current_splits,
    shares_at,
    splits_now,
)
from tests.service.compensation.reference import KEY, event, hamilton, policy
from tests.service.compensation.replay.journals import Journal

DAY = "2026-03-31"
OWNERS = [f"owner {n}" for n in range(8)]
HOUSES = [f"house {n}" for n in range(5)]
PERIOD_DAY = policy(period="day", floor=300)


def row(party="p", share=WHOLE, owner="ada", right="author", since=None, until=None):
    return RightsRow(owner=owner, right=right, party=party, share=share, since=since, until=until)


def table(*rows, index="digits", revision=1):
    return RightsTable(index=index, revision=revision, rows=tuple(sorted(rows, key=row_order)))


def parts(found):
    return [(each.owner, each.right, each.party, each.amount, each.table) for each in found]


def party(name, *aliases, revision=1):
    made = Party(name=name, revision=revision, aliases=aliases, identifiers=PartyIdentifiers(), details=None)
    return PartyRecorded(party=made)


def test_owners_with_rows_are_divided_and_others_are_left_alone():
    shares = PartyShares([(7, table(row("press", 600_000)))])
    assert parts(shares.splits({"ada": 10, "bob": 5}, DAY)) == [
        ("ada", "author", None, 4, 7),
        ("ada", "author", "press", 6, 7),
    ]
    assert shares.splits({"ada": 0}, DAY) == ()


def test_a_label_without_rows_is_paid_as_its_party_by_the_rows_of_its_name():
    shares = PartyShares([(7, table(row("press")))], {"A. L.": "ada", "B.": "bob"})
    assert parts(shares.splits({"A. L.": 10, "B.": 5, "bob": 1}, DAY)) == [
        ("A. L.", "author", "press", 10, 7),
        ("B.", None, "bob", 5, None),
    ]


def test_tables_of_two_indexes_must_agree_about_an_owner():
    one, same = table(row("press")), table(row("press", since="2026-01-01"), index="letters")
    assert parts(PartyShares([(3, one), (5, same)]).splits({"ada": 4}, DAY)) == [
        ("ada", "author", "press", 4, 3)
    ]
    other = PartyShares([(3, one), (5, table(row("house"), index="letters"))])
    with pytest.raises(RunConflict, match="same rows of an owner"):
        other.splits({"ada": 4}, DAY)
    assert other.splits({"bob": 4}, DAY) == ()


def test_only_the_tables_of_the_policys_indexes_count():
    rights, journal = RightsBook(), Journal()
    rights.add(4, table(row("press")))
    rights.add(6, table(row("house"), index="letters"))
    parties = journal.ledger.parties
    assert [each for each, _ in shares_at(policy(indexes=("letters",)), rights, parties, 9).tables] == [6]
    assert [each for each, _ in shares_at(policy(), rights, parties, 5).tables] == [4]


class Division:
    """A journal whose tables, parties and owners change between runs of one day each."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.journal = Journal()
        self.journal.write(SigningKeyAdded(public_key=KEY.public.text))
        self.journal.write(PolicyRevised(policy=PERIOD_DAY))
        for name in HOUSES:
            self.journal.write(party(name))
        self.rows, self.revision, self.owned = [], 0, dict[str, str]()
        self.sequence = None

    def revise(self):
        """Draw rows of some owners. All others are removed from the table."""
        self.rows = []
        for owner in self.random.sample(OWNERS, self.random.randint(0, len(OWNERS))):
            for right in self.random.sample(["author", "publisher", "producer"], self.random.randint(1, 3)):
                left = WHOLE
                for name in self.random.sample(HOUSES, self.random.randint(1, 3)):
                    share = self.random.randint(1, max(1, left // 2)) if self.random.random() < 0.7 else left
                    left -= share
                    self.rows.append(row(name, share, owner, right))
                    if not left:
                        break
        self.revision += 1
        revised = RightsRevised(table=table(*self.rows, revision=self.revision))
        self.sequence = self.journal.write(revised).sequence

    def rename(self, owner, house):
        """Make an owner's label an alias of a party."""
        self.owned[owner] = house
        aliases = sorted(label for label, of in self.owned.items() if of == house)
        before = sum(1 for _ in self.journal.ledger.parties.revisions[party(house).party.id])
        self.journal.write(party(house, *aliases, revision=before + 1))

    def run(self, name):
        """Book an event of some owners, and divide its day."""
        owners = self.random.sample(OWNERS, self.random.randint(1, len(OWNERS)))
        scores = {owner: (n := self.random.randint(1, 900), n + 1, n + 2) for owner in owners}
        booked = self.journal.write(event(scores)).fact.event
        ledger, basis = self.journal.ledger, self.journal.head[0]
        found = Candidates(
            kind="allocation",
            period=period_named("day", booked.booked_at[:10]),
            basis=basis,
            events=[booked],
            budget=PERIOD_DAY.budget,
            founded=ledger.founded[PERIOD_DAY.name],
            carried=carried_of(ledger.balances(PERIOD_DAY.name)),
            shares=PartyShares(
                [(self.sequence, table(*self.rows, revision=self.revision))] if self.sequence else [],
                self.owned,
            ),
        )
        statement = draft_allocation(PERIOD_DAY, found)
        self.journal.draft(statement, name)
        self.journal.step("approval", statement, name)
        self.journal.step("posting", statement, name)
        return statement

    def run_with_splits(self):
        """Divide days until a table divides an amount."""
        for n in range(20):
            self.revise()
            if (statement := self.run(f"try {n}")).splits:
                return statement
        raise AssertionError("no table divides an amount")

    def expected(self, line):
        """Exact parts of a line by party, in whole units."""
        own = [each for each in self.rows if each.owner == line.owner]
        if not own:
            return {self.owned.get(line.owner, line.owner): line.payable}
        rights = sorted({each.right for each in own})
        exact = {
            (each.right, each.party): Fraction(line.payable * each.share, WHOLE * len(rights)) for each in own
        }
        for right in rights:
            rest = WHOLE - sum(each.share for each in own if each.right == right)
            if rest:
                exact[right, ""] = Fraction(line.payable * rest, WHOLE * len(rights))
        found = {}
        for (_, name), part in hamilton(exact, line.payable).items():
            found[name] = found.get(name, 0) + part
        return found


def test_a_hundred_splits_and_removals_are_recomputed_to_the_byte():
    division = Division(13)
    for n in range(100):
        if n % 3 != 2:
            division.revise()
        if n % 20 == 19:
            division.rename(OWNERS[n // 20], HOUSES[n // 20])
        before = division.journal.ledger.balances(PERIOD_DAY.name)
        statement = division.run(f"run {n}")
        wanted = {}
        for line in statement.allocation.lines:
            for name, part in division.expected(line).items() if line.payable else ():
                key = ("payable", name) if name else ("unclaimed", line.owner)
                wanted[key] = wanted.get(key, 0) + part
        after = division.journal.ledger.balances(PERIOD_DAY.name)
        moved = {key: after[key] - before.get(key, 0) for key in after if key[0] in ("payable", "unclaimed")}
        assert {key: amount for key, amount in moved.items() if amount} == {
            key: amount for key, amount in wanted.items() if amount
        }
        paid = sum(line.payable for line in statement.allocation.lines)
        assert sum(wanted.values()) == paid
    assert division.journal.found == []
    assert sum(division.journal.ledger.balances(PERIOD_DAY.name).values()) == 0


def test_the_replay_finds_forged_splits():
    division = Division(1)
    statement = division.run_with_splits()
    assert division.journal.found == []
    taken = [each.model_copy(update={"party": "house 4"}) for each in statement.splits]
    division.journal.draft(statement.model_copy(update={"splits": tuple(taken)}), "run 1")
    assert "the recomputed statement differs: it must agree to the byte" in division.journal.found


def test_a_revision_of_the_table_or_of_a_party_makes_a_statement_old():
    division = Division(2)
    statement = division.run_with_splits()
    ledger = division.journal.ledger
    day = last_day(statement.until)
    assert statement.splits == splits_now(statement, ledger.shares_of(PERIOD_DAY, division.journal.head[0]))
    assert day == statement.period
    division.revise()
    shares = ledger.shares_of(PERIOD_DAY, division.journal.head[0])
    with pytest.raises(RunConflict, match="void the run"):
        require_current_splits(statement, shares)
    division.journal.draft(statement, "old")
    division.journal.step("approval", statement, "old")
    assert any("they changed since" in each for each in division.journal.found)
