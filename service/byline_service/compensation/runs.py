"""A statement run's way: draft -> approved by another person -> posted; or void before that."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from byline.api.statements import State, Step
from byline.errors import Conflict, Forbidden
from byline_service.compensation.allocation import Line
from byline_service.compensation.statements import AllocationStatement, Entry, ReversalStatement, Statement

AccountKey = tuple[str, str | None]
"""(account, owner) of one policy."""
Balances = Mapping[AccountKey, int]
"""Minor units by account."""


class RunConflict(Conflict):
    """The run's state does not allow this, or somebody else was faster: look at the run again."""


class NotAnotherPerson(Forbidden):
    """Whoever drafted a run cannot approve it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it stands."""

    id: str
    """Given by the service."""
    drafted_by: str
    """Who drafted it."""
    statement: Statement
    """What it would post, or has posted."""
    steps: Mapping[Step, str] = field(default_factory=dict)
    """Who took which step."""

    @property
    def state(self) -> State:
        """Where the run stands."""
        return state_of(self.steps)

    def require_approvable(self, person: str) -> None:
        """Hold that a person may approve the run.

        Raises:
            RunConflict: It is no draft any more.
            NotAnotherPerson: The person drafted it.
        """
        self._require("draft")
        if same_person(person, self.drafted_by):
            raise NotAnotherPerson("expected another person to approve a run than the one who drafted it")

    def require_postable(self) -> None:
        """Hold that the run is approved, and neither posted nor void.

        Raises:
            RunConflict: It is not.
        """
        self._require("approved")

    def require_voidable(self) -> None:
        """Hold that the run is not posted yet.

        Raises:
            RunConflict: It is; a posted run is taken back by a reversal.
        """
        self._require("draft", "approved")

    def _require(self, *states: State) -> None:
        if self.state not in states:
            raise RunConflict(f"expected a run that is {' or '.join(states)}, this one is {self.state}")


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: case, kinds of characters and spaces make nobody another person."""
    return _folded(one) == _folded(other)


def _folded(person: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())


def state_of(steps: Collection[str]) -> State:
    """Where a run stands after these steps."""
    if "void" in steps:
        return "void"
    if "posting" in steps:
        return "posted"
    return "approved" if "approval" in steps else "draft"


def balances_after(statement: Statement, balances: Balances) -> dict[AccountKey, int]:
    """Post a statement's entries.

    Args:
        statement: What is posted.
        balances: The policy's accounts before.

    Returns:
        The accounts after it.

    Raises:
        RunConflict: The statement was drafted on other balances, or takes more out of an account than is in it.
    """
    _require_carried(statement, balances)
    after = dict(balances)
    for entry in statement.entries():
        key = entry.account, entry.owner
        after[key] = after.get(key, 0) + entry.amount
    for (account, _), balance in after.items():
        if balance < 0 and account != "funding":
            raise RunConflict(
                f"expected enough in every account, got less than the run takes out of one of `{account}`: "
                + (
                    "reverse the runs that were posted after it first"
                    if isinstance(statement, ReversalStatement)
                    else "void the run and draft it again"
                )
            )
    return after


def require_balanced(entries: tuple[Entry, ...]) -> None:
    """Hold that a transaction adds up to zero.

    Raises:
        RunConflict: It does not.
    """
    if sum(entry.amount for entry in entries):
        raise RunConflict("expected entries that add up to zero")


def _require_carried(statement: Statement, balances: Balances) -> None:
    if not isinstance(statement, AllocationStatement):
        return
    brought = {line.owner: line.brought for line in statement.allocation.lines if line.brought}
    if brought != carried_of(balances):
        raise RunConflict(
            "expected the carried amounts that the run was drafted on, they changed since: void it and draft it again"
        )


def carried_of(balances: Balances) -> dict[str, int]:
    """What owners have below the floor, by owner."""
    return {
        owner: balance
        for (account, owner), balance in balances.items()
        if account == "carried" and owner and balance
    }


def lines_of(statement: Statement) -> tuple[Line, ...]:
    """Each owner's part of any statement, by owner; of a release or a reversal, what it changes."""
    if isinstance(statement, AllocationStatement):
        return statement.allocation.lines
    changed: dict[str, dict[str, int]] = {}
    for entry in statement.entries():
        if entry.owner is not None:
            own = changed.setdefault(entry.owner, {})
            own[entry.account] = own.get(entry.account, 0) + entry.amount
    return tuple(
        Line.model_validate(
            {"owner": owner, "earned": 0, "brought": 0, "payable": 0, "carried": 0, "escrow": 0, **own}
        )
        for owner, own in sorted(changed.items())
    )
