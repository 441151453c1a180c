"""A run is approved by another person than its author."""

import pytest

from byline_service.compensation.calendar import period_named
from byline_service.compensation.drafting import Candidates, draft_allocation
from byline_service.compensation.runs import Run, SamePerson, same_person
from tests.service.compensation.reference import event, policy


class TestPersons:
    @pytest.mark.parametrize("other", ["Ada", " ada ", "ADA", "\uff41da"])
    def test_another_spelling_is_no_other_person(self, other):
        assert same_person("ada", other)
        drafted = Run(id="run", drafted_by="ada", statement=draft())
        with pytest.raises(SamePerson):
            drafted.require_approvable(other)
        drafted.require_approvable("adam")


def draft():
    march, chosen = period_named("month", "2026-03"), policy()
    found = Candidates(
        kind="allocation",
        period=march,
        basis=1,
        events=[event({"a": (1, 2, 3)})],
        budget=chosen.budget,
        founded=march.since,
    )
    return draft_allocation(chosen, found)
