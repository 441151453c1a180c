"""A restriction moves amounts to another account: the division is the same to the unit."""

from fractions import Fraction

import pytest

from byline.api.holds import Subject
from byline_service.compensation.allocation import allocate
from byline_service.compensation.restrictions import Restriction, Restrictions, held_units
from tests.service.compensation.reference import event, policy

EVENTS = [
    event({"ash": (30, 31, 29), "birch": (60, 55, 62), "cedar": (1, 2, 3)}, id="a"),
    event({"ash": (5, 7, 6), "elm": (9, 9, 8)}, id="b", index="shapes", weight=3),
    event({"ash": (-5, -7, -6), "birch": (2, 9, 8)}, id="c", booked_at="2026-03-20T00:00:00.000000Z"),
]
CARRIED = {"ash": 70, "oak": 11}


def restriction(owner, since=None, **work):
    return Restriction(
        id=f"{owner}{since}{work}", kind="hold", subject=Subject(owner=owner, **work), since=since
    )


def both(*restrictions, **terms):
    rules = policy(**{"pool": 9_999, "multiplier": 5_000} | terms)
    free = allocate(rules, EVENTS, CARRIED)
    bound = allocate(rules, EVENTS, CARRIED, None, Restrictions(restrictions))
    same = ("owner", "earned", "brought", "escrow")
    assert [[getattr(line, name) for name in same] for line in bound.lines] == [
        [getattr(line, name) for name in same] for line in free.lines
    ]
    for line in bound.lines:
        assert line.payable + line.carried + line.held == line.earned + line.brought
        assert min(line.payable, line.carried, line.held) >= 0
    return {line.owner: line for line in free.lines}, {line.owner: line for line in bound.lines}


@pytest.mark.parametrize("floor", [0, 500, 10_000])
def test_all_of_an_owner_is_held_and_what_was_carried_stays(floor):
    free, bound = both(restriction("ash"), floor=floor)
    ash = bound["ash"]
    assert (ash.payable, ash.carried, ash.held) == (0, 70, free["ash"].earned)
    assert all(bound[owner] == line for owner, line in free.items() if owner != "ash")


def test_the_events_of_one_index_are_held_in_proportion():
    free, bound = both(restriction("ash", index="shapes"))
    alone = allocate(policy(pool=10**9, multiplier=5_000), EVENTS, {})
    other = allocate(
        policy(pool=10**9, multiplier=5_000),
        EVENTS,
        {},
        None,
        Restrictions([restriction("ash", index="shapes")]),
    )
    fraction = Fraction(other.lines[0].held, alone.lines[0].earned)
    assert 0 < fraction < 1
    assert abs(bound["ash"].held - free["ash"].earned * fraction) <= 1
    assert bound["ash"].payable == free["ash"].payable - bound["ash"].held


def test_a_work_holds_the_whole_amount_of_events_that_name_no_works():
    _, of_index = both(restriction("ash", index="shapes"))
    _, of_work = both(restriction("ash", index="shapes", work="17"))
    assert of_work == of_index


def test_events_before_the_time_are_paid():
    free, bound = both(restriction("birch", since="2026-03-20T00:00:00.000000Z", index="digits"))
    assert 0 < bound["birch"].held < free["birch"].earned
    _, after = both(restriction("birch", since="2026-03-20T00:00:00.000001Z", index="digits"))
    assert after["birch"].held == 0


def test_two_restrictions_hold_an_amount_once():
    _, one = both(restriction("ash", index="shapes"))
    _, two = both(restriction("ash", index="shapes"), restriction("ash", index="shapes", work="1"))
    assert one == two


def test_held_units_are_rounded_up():
    assert held_units(10, Fraction(1, 3), 1) == 4
    assert held_units(10, Fraction(0), 1) == 0
    assert held_units(10, Fraction(7), 7) == 10


def test_restrictions_are_named_in_the_order_of_their_ids():
    known = Restrictions([restriction("birch"), restriction("ash", index="b"), restriction("ash")])
    assert [each.subject.owner for each in known.about(["birch", "ash", "oak"])] == ["ash", "ash", "birch"]
    assert known.whole("ash")
    assert not known.whole("oak")


WORKS = {"ash": (("1", 40), ("2", -30), ("3", 20), ("4", 10), ("5", 9))}
NAMED = event({"ash": (30, 31, 29), "birch": (60, 55, 62)}, works=WORKS)


class TestWorks:
    def held(self, *works, **more):
        found = Restrictions([restriction("ash", index="digits", work=work) for work in works])
        return found.part("ash", NAMED, **more)

    def test_a_named_work_holds_its_part_of_the_share(self):
        assert self.held("1") == Fraction(40, 90)
        assert self.held("1", "3") == Fraction(60, 90)

    def test_a_work_that_lowers_the_share_holds_nothing(self):
        assert self.held("2") == 0

    def test_a_work_that_is_not_named_holds_at_most_the_smallest_named_part(self):
        assert self.held("x") == Fraction(9, 90)
        few = event({"ash": (30, 31, 29)}, works={"ash": (("1", 40),)})
        assert Restrictions([restriction("ash", index="digits", work="x")]).part("ash", few) == 0

    def test_no_part_is_more_than_all(self):
        assert self.held("1", "3", "4", "5", "x", "y") == 1

    def test_the_whole_amount_is_held_without_attribution_or_with_a_hold_of_all_works(self):
        assert self.held("1", attributed=False) == self.held("1", None) == 1
        assert Restrictions().part("ash", NAMED, attributed=False) == 0

    def test_the_division_stays_and_the_work_holds_its_part(self):
        rules = policy(pool=9_999, multiplier=5_000)
        free = allocate(rules, [NAMED], {})
        bound = allocate(
            rules, [NAMED], {}, None, Restrictions([restriction("ash", index="digits", work="1")])
        )
        assert bound.lines[0].held == -(-free.lines[0].earned * 40 // 90)
        assert bound.lines[0].payable == free.lines[0].earned - bound.lines[0].held
