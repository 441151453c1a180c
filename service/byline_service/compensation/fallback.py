"""Division without attribution: of an event whose attribution is not reliable, and of a training pool.

equal     every owner the same
by_size   owner j in proportion to its rows
hold      owner j by its attributed share, all of it held
"""

from collections.abc import Mapping

from byline_service.compensation.event import Event
from byline_service.compensation.integer_shares import exact_shares
from byline_service.compensation.rosters import Roster

Rosters = Mapping[tuple[str, str], Roster]
"""(index, version) -> roster."""


def event_weights(rule: str, event: Event, rosters: Rosters) -> dict[str, int]:
    """Return the weights that divide an event without reliable attribution.

    Args:
        rule: `equal`, `by_size` or `hold`.
        event: The event.
        rosters: Rosters by index and version. `by_size` needs that of the event.

    Returns:
        Weights by owner. Empty if no owner gets anything.
    """
    if rule == "equal":
        return dict.fromkeys(sorted(event.scores), 1)
    if rule == "by_size":
        return dict(rosters[event.index, event.version].sizes)
    return {owner: each.positive for owner, each in exact_shares(event).items() if each.positive}


def pool_weights(rule: str, roster: Roster) -> dict[str, int]:
    """Return the weights that divide a training pool.

    Args:
        rule: `equal` or `by_size`.
        roster: Owners of the version.
    """
    return dict.fromkeys(sorted(roster.sizes), 1) if rule == "equal" else dict(roster.sizes)
