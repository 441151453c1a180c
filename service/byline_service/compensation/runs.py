"""Steps of a statement run: draft -> approved by another person -> posted; or rejected or void before that."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from byline.api.statements import State, Step
from byline.errors import Conflict, Forbidden, InvalidInput
from byline.names.skeletons import skeletons
from byline_service.compensation.allocation import Line
from byline_service.compensation.restrictions import Restriction, Restrictions
from byline_service.compensation.statements import (
    AllocationStatement,
    Entry,
    PayoutStatement,
    ReversalStatement,
    Statement,
)

OPEN: tuple[State, ...] = ("draft", "approved")
"""States of a run that can still be posted."""
AccountKey = tuple[str, str | None]
"""(account, owner) of one policy. The owner is None for the policy's own accounts."""
Balances = Mapping[AccountKey, int]
"""Balances in minor units, by account."""


class RunConflict(Conflict):
    """The run's state does not allow the step, or another person was faster: read the run again."""


class SamePerson(Forbidden):
    """The person who drafted a run cannot approve it, nor can a key that one person could hold beside the drafter's."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A statement run and its state."""

    id: str
    """Id from the service."""
    drafted_by: str
    """Person who drafted the run."""
    makers: tuple[str, ...] = ()
    """Persons who made the drafter's key or person, and those who made theirs."""
    statement: Statement
    """Statement that the run would post, or has posted."""
    steps: Mapping[Step, str] = field(default_factory=dict)
    """Person of each step."""

    @property
    def state(self) -> State:
        """Return the state of the run."""
        return state_of(self.steps)

    def require_approvable(self, person: str, makers: Collection[str] = ()) -> None:
        """Check that a person may approve the run.

        Args:
            person: The person.
            makers: Persons who made the person's key or account, and those who made theirs.

        Raises:
            RunConflict: The run is not a draft.
            SamePerson: The person drafted it, or one person could hold both keys.
        """
        self._require("draft")
        self._require_another(person, makers)

    def require_rejectable(self, person: str, comment: str | None) -> None:
        """Check that a person may reject the run.

        Args:
            person: The person.
            comment: Reason of the rejection.

        Raises:
            RunConflict: The run is posted, rejected or void.
            SamePerson: The person drafted it.
            InvalidInput: There is no comment.
        """
        self._require("draft", "approved")
        if same_person(person, self.drafted_by):
            raise SamePerson("expected another person to reject a run than the one who drafted it: void it")
        if not (comment and comment.strip()):
            raise InvalidInput("expected a comment with the rejection, got none")

    def require_postable(self) -> None:
        """Check that the run is approved, and neither posted nor void.

        Raises:
            RunConflict: The run is in another state.
        """
        self._require("approved")

    def require_confirmable(self, person: str, makers: Collection[str] = ()) -> PayoutStatement:
        """Check that a person may confirm the payout: it is posted, and another person prepared it.

        Args:
            person: The person.
            makers: Persons who made the person's key or account, and those who made theirs.

        Returns:
            Statement of the payout.

        Raises:
            RunConflict: The run is not posted, or is no payout.
            SamePerson: The person prepared it, or one person could hold both keys.
        """
        self._require("posted")
        if not isinstance(self.statement, PayoutStatement):
            raise RunConflict(f"expected a payout, this run is of kind {self.statement.kind}")
        self._require_another(person, makers)
        return self.statement

    def require_voidable(self) -> None:
        """Check that the run is not posted or void.

        Raises:
            RunConflict: The run is posted or void. A reversal takes a posted run back.
        """
        self._require(*OPEN)

    def _require_another(self, person: str, makers: Collection[str]) -> None:
        if same_person(person, self.drafted_by):
            raise SamePerson(
                "expected another person to approve or confirm a run than the one who drafted it"
            )
        drafting, approving = {self.drafted_by, *self.makers}, {person, *makers}
        if any(same_person(one, other) for one in drafting for other in approving):
            raise SamePerson(
                "expected keys of the drafter and the approver that no one person made or could hold, got keys with a "
                "common maker: have another admin make one, or `byline keys create` on the server"
            )

    def _require(self, *states: State) -> None:
        if self.state not in states:
            raise RunConflict(f"expected a run that is {' or '.join(states)}, this one is {self.state}")


def same_person(one: str, other: str) -> bool:
    """Return whether two names belong to one person: the eye cannot tell them apart."""
    return one == other or bool(skeletons(one) & skeletons(other))


def state_of(steps: Collection[str]) -> State:
    """Return the state of a run after its steps."""
    if "void" in steps:
        return "void"
    if "rejection" in steps:
        return "rejected"
    if "posting" in steps:
        return "posted"
    return "approved" if "approval" in steps else "draft"


def balances_after(statement: Statement, balances: Balances) -> dict[AccountKey, int]:
    """Return the balances after a statement is posted.

    Args:
        statement: The statement.
        balances: Balances of the policy's accounts before.

    Returns:
        Balances of the policy's accounts after it.

    Raises:
        RunConflict: The statement was drafted on other balances, or an account holds less than it takes.
    """
    _require_carried(statement, balances)
    after = dict(balances)
    for entry in statement.entries():
        key = entry.account, entry.owner
        after[key] = after.get(key, 0) + entry.amount
    for (account, owner), balance in after.items():
        if balance < 0 and account != "funding":
            if account == "payable" and (
                isinstance(statement, ReversalStatement) or balance >= balances.get((account, owner), 0)
            ):
                continue  # a receivable: the amount was paid out, and the next runs net it
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
    """Check that a transaction adds up to zero.

    Raises:
        RunConflict: The entries add up to another amount.
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


def require_known_restrictions(statement: Statement, in_force: Iterable[Restriction]) -> None:
    """Check that no owner is paid who has a restriction that the approver was not shown.

    Args:
        statement: Statement of the run.
        in_force: Holds, disputes and missing consent that are in force.

    Raises:
        RunConflict: A restriction on a paid owner came after the draft.
    """
    if isinstance(statement, ReversalStatement):
        return
    account = "transit" if isinstance(statement, PayoutStatement) else "payable"
    paid = {entry.owner for entry in statement.entries() if entry.account == account and entry.amount > 0}
    if not isinstance(statement, PayoutStatement):
        paid |= {split.owner for split in statement.splits}
    known = statement.restrictions
    found = Restrictions(in_force).about([owner for owner in paid if owner is not None])
    if not set(found) <= set(known):
        raise RunConflict(
            "expected the holds, disputes and consents that the run was drafted on, there are others on its owners "
            "since: void the run and draft it again"
        )


def carried_of(balances: Balances) -> dict[str, int]:
    """Return the amounts below the floor, by owner."""
    return {
        owner: balance
        for (account, owner), balance in balances.items()
        if account == "carried" and owner and balance
    }


def lines_of(statement: Statement) -> tuple[Line, ...]:
    """Return the lines of a statement by owner: amounts, or for a release or a reversal the changes of amounts."""
    if isinstance(statement, AllocationStatement):
        return statement.allocation.lines
    changed: dict[str, dict[str, int]] = {}
    for entry in statement.entries():
        if entry.owner is not None and entry.account in Line.model_fields:
            own = changed.setdefault(entry.owner, {})
            own[entry.account] = own.get(entry.account, 0) + entry.amount
    return tuple(
        Line.model_validate(
            {
                "owner": owner,
                "earned": 0,
                "brought": 0,
                "payable": 0,
                "carried": 0,
                "escrow": 0,
                "held": 0,
                **own,
            }
        )
        for owner, own in sorted(changed.items())
    )
