"""Budgets of periods: one posted run pays a period, and no run of it pays more than its budget has left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from byline.errors import InvalidInput
from byline_service.compensation.calendar import Period
from byline_service.compensation.policy import Policy
from byline_service.compensation.runs import RunConflict
from byline_service.compensation.statements import AllocationStatement, Statement

Division = Literal["allocation", "adjustment"]
"""`allocation` pays a period. `adjustment` pays late events of a paid period out of the rest of its budget."""
OPEN_DRAFTS = 5
"""Most runs of a policy that are neither posted nor ended."""


@dataclass(frozen=True, kw_only=True)
class PeriodRun:
    """A posted run that paid out of the budget of a period."""

    run: str
    """Id of the run."""
    kind: str
    """`allocation` or `adjustment`."""
    period: str
    """Name of the period."""
    revision: int
    """Revision of the policy that divided the pool."""
    pool: int
    """Amount that the run divided."""
    posted: int
    """Sequence of the posting."""
    reversed: int | None
    """Sequence of the posting that reversed it. None if there is none."""

    def counts(self, basis: int) -> bool:
        """Return whether the run is posted and not reversed after a record.

        Args:
            basis: Sequence of the record.
        """
        return self.posted <= basis and (self.reversed is None or self.reversed > basis)


@dataclass(frozen=True)
class Spending:
    """Amounts that posted runs took out of the budget of one period."""

    spent: int
    """Sum of the pools, in minor units."""
    revision: int | None
    """Revision that paid the period. None if no posted run has paid it."""


NOTHING_SPENT = Spending(0, None)


def spending(runs: Sequence[PeriodRun], period: str, basis: int) -> Spending:
    """Add up the posted runs of a period.

    Args:
        runs: Posted runs of one policy.
        period: Name of the period.
        basis: Sequence of the last record that counts.
    """
    counted = [run for run in runs if run.period == period and run.counts(basis)]
    revisions = [run.revision for run in counted if run.kind == "allocation"]
    return Spending(sum(run.pool for run in counted), revisions[0] if revisions else None)


def ceiling(policy: Policy, paid_by: Policy | None) -> int:
    """Return the budget of a period.

    Args:
        policy: Revision of the draft.
        paid_by: Revision that paid the period. A later revision cannot raise the budget of a paid period.
    """
    return policy.budget if paid_by is None else min(policy.budget, paid_by.budget)


def require_unpaid(kind: Division, found: Spending) -> None:
    """Check that a run fits the state of its period.

    Raises:
        RunConflict: An allocation of a paid period, or an adjustment of a period that is not paid.
    """
    if kind == "allocation" and found.revision is not None:
        raise RunConflict(
            "expected a period that no posted run has paid, this one is paid: its late events go into the next "
            "period's run, or into an `adjustment` within what is left of its budget"
        )
    if kind == "adjustment" and found.revision is None:
        raise RunConflict(
            "expected a period that a posted run has paid, this one is not: draft its `allocation`"
        )


def require_finished(period: Period, now: str) -> None:
    """Check that a period has ended.

    Args:
        period: The period.
        now: Current time, as `timestamp_text` writes it.

    Raises:
        InvalidInput: The period has not ended.
    """
    if now < period.until:
        raise InvalidInput(
            f"expected a period that has ended, this one ends at {period.until}: draft the run after that"
        )


def require_begun(period: Period, founded: str) -> None:
    """Check that a training pool had a policy before the end of its period.

    Args:
        period: The period.
        founded: Time of the policy's first revision.

    Raises:
        InvalidInput: The period ended before the policy existed.
    """
    if period.until <= founded:
        raise InvalidInput(
            f"expected a period in which the policy existed, this one ended at {period.until}: a training pool pays for no "
            "period before its policy"
        )


def require_current(statement: Statement, newest: Policy) -> None:
    """Check that a division follows the newest revision of its policy.

    Args:
        statement: Statement of the run.
        newest: Newest revision of the policy.

    Raises:
        RunConflict: The policy was revised after the draft.
    """
    if isinstance(statement, AllocationStatement) and statement.policy.revision != newest.revision:
        raise RunConflict(
            "expected a draft of the policy's newest revision, it was revised since: void the run and draft it again"
        )


def require_budget(statement: Statement, runs: Sequence[PeriodRun], basis: int) -> None:
    """Check before a posting that its period was not paid after the draft, and that as much is left of its budget.

    Args:
        statement: Statement of the run.
        runs: Posted runs of the policy.
        basis: Sequence of the last record before the posting.

    Raises:
        RunConflict: Another run of the period was posted or reversed after the draft.
    """
    if not isinstance(statement, AllocationStatement):
        return
    found = spending(runs, statement.period, basis)
    require_unpaid(statement.kind, found)
    if found.spent != statement.spent:
        raise RunConflict(
            "expected the budget that the run was drafted on, it changed since: void the run and draft it again"
        )


def require_same_terms(before: Policy, revision: Policy) -> None:
    """Check that a revision keeps the terms that earlier runs were paid by: currency, calendar and group.

    Args:
        before: The revision before.
        revision: The new revision.

    Raises:
        RunConflict: The revision changes one of them.
    """
    for term in ("currency", "period", "group", "basis"):
        if getattr(before, term) != getattr(revision, term):
            raise RunConflict(
                f"expected the {term} of the policy's first revision, by which its runs are paid: create another policy"
            )


def require_few_drafts(count: int) -> None:
    """Check that a policy may have another draft.

    Args:
        count: Runs of the policy that are neither posted nor ended.

    Raises:
        RunConflict: The policy has the most drafts that it may have.
    """
    if count >= OPEN_DRAFTS:
        raise RunConflict(
            f"expected at most {OPEN_DRAFTS} open runs of a policy, this would be one more: post or void one first"
        )
