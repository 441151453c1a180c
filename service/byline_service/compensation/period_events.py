"""Events of a period as the journal has them: open, late, of earlier unpaid periods, or paid for elsewhere."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from byline_service.compensation.budgets import Division, PeriodRun
from byline_service.compensation.calendar import Period, period_named
from byline_service.compensation.drafting import late_within
from byline_service.compensation.policy import Policy


@dataclass(frozen=True)
class BookedEvent:
    """Identity of a booked event, without its scores."""

    id: str
    sequence: int
    at: str
    index: str
    version: str
    reference: str | None
    weight: int
    size: int
    """Number of its scores: owners x members."""


class Claim(NamedTuple):
    """A claim of a posted run on an event: it pays for the event, or reverses that."""

    sequence: int
    run: str
    policy: str


@dataclass
class Claims:
    """The claims on all events. Those of one group on one event pay and reverse in turn."""

    by_event: dict[tuple[str, str], list[Claim]] = field(default_factory=dict)
    """(group, event) -> claims in the order of posting."""
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Event -> groups that ever paid for it."""

    def add(self, group: str, event: str, claim: Claim) -> None:
        """Add a claim."""
        if (group, event) not in self.by_event:
            self.groups.setdefault(event, []).append(group)
        self.by_event.setdefault((group, event), []).append(claim)

    def payer(self, group: str, event: str, basis: int) -> str | None:
        """Return the policy of a group that has paid for an event. None if it is open.

        Args:
            group: The group.
            event: Id of the event.
            basis: Sequence of the last journal record that counts.
        """
        counted = [claim for claim in self.by_event.get((group, event), []) if claim.sequence <= basis]
        return counted[-1].policy if len(counted) % 2 else None

    def other_payers(self, group: str, event: str, basis: int) -> list[str]:
        """Return the policies of other groups that have paid for an event."""
        found = (self.payer(other, event, basis) for other in self.groups.get(event, []) if other != group)
        return sorted(policy for policy in found if policy is not None)


@dataclass(frozen=True, kw_only=True)
class PeriodEvents:
    """The events that a draft looks at."""

    own: Sequence[BookedEvent]
    """Open events of the period."""
    late: Sequence[BookedEvent]
    """Late events that fit into the run."""
    late_waiting: int
    """Number of late events that do not."""
    earlier: int
    """Number of open events of earlier, unpaid periods."""
    elsewhere: Mapping[str, int]
    """Other policies of the group, with the number of the period's events that they have paid for."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The policy, period and basis of a draft."""

    policy: Policy
    kind: Division
    period: Period
    basis: int


def period_events(
    search: Search, booked: Iterable[BookedEvent], claims: Claims, runs: Sequence[PeriodRun]
) -> PeriodEvents:
    """Find the events that a draft looks at.

    Args:
        search: The draft.
        booked: All events in the order of booking.
        claims: All claims.
        runs: Posted runs of the policy.
    """
    if search.policy.basis == "training":
        return PeriodEvents(own=(), late=(), late_waiting=0, earlier=0, elsewhere={})
    group, basis = search.policy.group, search.basis
    paid = _spans(search.policy, runs, basis)
    own: list[BookedEvent] = []
    before: list[BookedEvent] = []
    elsewhere: Counter[str] = Counter()
    for event in _covered(search, booked):
        payer = claims.payer(group, event.id, basis)
        if payer is None:
            (own if event.at >= search.period.since else before).append(event)
        elif event.at >= search.period.since and payer != search.policy.name:
            elsewhere[payer] += 1
    late = [event for event in before if _within(paid, event.at)]
    if search.kind == "adjustment":
        return PeriodEvents(own=own, late=(), late_waiting=0, earlier=0, elsewhere=elsewhere)
    fitting = late_within([event.size for event in own], [event.size for event in late])
    return PeriodEvents(
        own=own,
        late=late[:fitting],
        late_waiting=len(late) - fitting,
        earlier=len(before) - len(late),
        elsewhere=elsewhere,
    )


def _covered(search: Search, booked: Iterable[BookedEvent]) -> Iterator[BookedEvent]:
    """Yield the events before the end of the period that the policy covers."""
    indexes = search.policy.indexes
    for event in booked:
        if event.sequence > search.basis:
            return
        if event.at < search.period.until and (not indexes or event.index in indexes):
            yield event


def _spans(policy: Policy, runs: Sequence[PeriodRun], basis: int) -> list[tuple[str, str]]:
    """Return the first times of paid periods, and the first times after them."""
    paid = (run for run in runs if run.kind == "allocation" and run.counts(basis))
    periods = (period_named(policy.period, run.period) for run in paid)
    return sorted((period.since, period.until) for period in periods)


def _within(spans: Sequence[tuple[str, str]], at: str) -> bool:
    place = bisect_right(spans, at, key=lambda span: span[0])
    return place > 0 and at < spans[place - 1][1]
