"""Members: checkpoints x masks, named and ordered."""

import pytest

from byline.errors import InvalidRecipe
from byline.members import Member, MemberPlan


def test_checkpoints_times_masks() -> None:
    members = MemberPlan(checkpoints=(2, 0), masks=2, mask_seed=5).members(3)
    assert members == (Member(2, 5), Member(2, 6), Member(0, 5), Member(0, 6))
    assert [m.name for m in members] == ["c2-m5", "c2-m6", "c0-m5", "c0-m6"]


def test_the_default_is_every_checkpoint_whole() -> None:
    assert [m.name for m in MemberPlan().members(2)] == ["c0", "c1"]


@pytest.mark.parametrize("checkpoints", [(), (0, 0), (2,), (-1,)])
def test_wrong_positions_are_refused(checkpoints: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRecipe, match="different positions below 2"):
        MemberPlan(checkpoints=checkpoints).members(2)
