"""Properties of the division of a pool, against brute force in Fractions."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from byline.attribution.owner_shares import owner_sums
from byline.members import Member
from byline_service.compensation.allocation import PARTS, allocate, apportion, event_parts
from byline_service.compensation.integer_shares import ROOT_BITS, exact_shares
from tests.service.compensation.reference import amounts, event, hamilton, jackknife_squared, policy, shares

UNITS = st.sampled_from([(0, 1), (0, 1, 2), (0, 0, 1, 1, 2, 2), (0, 0, 0, 1)])
SCORE = st.one_of(st.integers(-20, 20), st.integers(-(1 << 52), 1 << 52))


@st.composite
def events(draw, score=SCORE, owners=6, most=4):
    """Several events of one ensemble, with owners in common."""
    units = draw(UNITS)
    row = st.tuples(*[score] * len(units))
    names = st.sampled_from([f"owner {o}" for o in range(owners)])
    scores = st.dictionaries(names, row, min_size=1, max_size=owners)
    return [
        event(draw(scores), units, weight=draw(st.integers(1, 5))) for _ in range(draw(st.integers(1, most)))
    ]


BOUNDS = st.one_of(
    st.fixed_dictionaries({"confidence": st.sampled_from([500, 900, 950, 999])}),
    st.fixed_dictionaries({"multiplier": st.sampled_from([0, 10_000, 16_449, 29_200])}),
)
POLICIES = st.builds(
    lambda bound, **changes: policy(**bound, **changes),
    BOUNDS,
    pool=st.one_of(st.integers(0, 3), st.integers(0, 10**6), st.just(10**13)),
    spread=st.sampled_from(["period", "event"]),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    floor=st.sampled_from([0, 1, 500]),
)


def totals(found):
    return {line.owner: line.earned + line.escrow for line in found.lines}


class TestAgainstBruteForce:
    @given(events(), POLICIES)
    @settings(max_examples=150, deadline=None)
    def test_amounts_are_within_one_minor_unit_and_add_up(self, booked, chosen):
        found = allocate(chosen, booked, {})
        paid, held, nobody = amounts(chosen, booked)
        whole = sum(each.weight for each in booked) if chosen.spread == "event" else 1
        assert found.pool == chosen.pool * whole
        assert sum(line.earned + line.escrow for line in found.lines) + found.unallocated == found.pool
        slack = 1 + Fraction(found.pool * 8, PARTS)
        lines = {line.owner: line for line in found.lines}
        for owner in paid:
            line = lines.get(owner)
            assert abs((line.earned if line else 0) - paid[owner]) <= slack
            assert abs((line.escrow if line else 0) - held[owner]) <= slack
        assert abs(found.unallocated - nobody) <= slack
        assert all(
            min(line.earned, line.brought, line.payable, line.carried, line.escrow) >= 0
            for line in found.lines
        )

    @given(events())
    @settings(max_examples=100, deadline=None)
    def test_standard_errors_are_the_exact_ones_rounded_up(self, booked):
        for each in booked:
            squares = jackknife_squared(each)
            found = exact_shares(each)
            if not found:
                assert not any(shares([sum(row) for row in each.scores.values()]))
            for owner, one in found.items():
                assert one.standard_error**2 >= squares[owner]
                below = one.standard_error - Fraction(1, 1 << ROOT_BITS)
                assert below < 0 or below**2 < squares[owner]

    @given(events(score=st.integers(-(1 << 30), 1 << 30)))
    @settings(max_examples=60, deadline=None)
    def test_shares_are_those_of_every_answer(self, booked):
        import numpy as np

        for each in booked:
            ensemble = tuple(Member(m.unit, seed) for seed, m in enumerate(each.members))
            assume(len({sum(m.unit == u.unit for m in each.members) for u in each.members}) == 1)
            owners = sorted(each.scores)
            answer = owner_sums(np.array([each.scores[o] for o in owners], dtype=float), ensemble)
            exact = exact_shares(each)
            assert (answer.share is None) == (not exact)
            if answer.share is None:
                continue
            for o, owner in enumerate(owners):
                one = exact.get(owner)
                assert answer.share[o] == pytest.approx(float(one.share) if one else 0, abs=1e-9)
                error = float(one.standard_error) if one else 0
                assert answer.share_error[o] == pytest.approx(error, abs=1e-9)

    @given(
        st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 50), min_size=1),
        st.integers(0, 1000),
    )
    @settings(deadline=None)
    def test_largest_remainder(self, weights, total):
        assume(sum(weights.values()))
        exact = {key: Fraction(total * w, sum(weights.values())) for key, w in weights.items()}
        found = apportion(weights, total)
        assert found == hamilton(exact, total)
        assert sum(found.values()) == total
        assert all(abs(found[key] - exact[key]) < 1 for key in exact)


class TestInvariances:
    @given(events(), POLICIES, st.randoms())
    @settings(max_examples=60, deadline=None)
    def test_order_of_owners_events_and_units_changes_nothing(self, booked, chosen, random):
        expected = allocate(chosen, booked, {})
        shuffled = []
        for each in booked:
            owners = list(each.scores.items())
            random.shuffle(owners)
            order = list(range(len(each.members)))
            random.shuffle(order)
            shuffled.append(
                each.model_copy(
                    update={
                        "scores": {owner: tuple(row[m] for m in order) for owner, row in owners},
                        "members": tuple(each.members[m] for m in order),
                    }
                )
            )
        random.shuffle(shuffled)
        assert allocate(chosen, shuffled, {}).canonical() == expected.canonical()

    @given(events(), POLICIES)
    @settings(max_examples=60, deadline=None)
    def test_null_works_change_nothing(self, booked, chosen):
        zeros = [
            each.model_copy(update={"scores": {**each.scores, "null": (0,) * len(each.members)}})
            for each in booked
        ]
        assert allocate(chosen, zeros, {}).canonical() == allocate(chosen, booked, {}).canonical()

    @given(events(), st.integers(2, 4))
    @settings(max_examples=60, deadline=None)
    def test_one_scale_for_all_scores_of_an_event_changes_nothing(self, booked, factor):
        scaled = [
            each.model_copy(
                update={"scores": {o: tuple(factor * n for n in row) for o, row in each.scores.items()}}
            )
            for each in booked
        ]
        assert allocate(policy(), scaled, {}).canonical() == allocate(policy(), booked, {}).canonical()

    @given(events(score=st.integers(0, 1000)), st.data())
    @settings(max_examples=80, deadline=None)
    def test_splitting_an_owner_of_one_sign_changes_no_share(self, booked, data):
        (each, *_) = booked
        owner = sorted(each.scores)[0]
        first = tuple(data.draw(st.integers(0, n)) for n in each.scores[owner])
        rest = tuple(n - m for n, m in zip(each.scores[owner], first, strict=True))
        others = {o: row for o, row in each.scores.items() if o != owner}
        split = event({**others, "part 1": first, "part 2": rest}, [m.unit for m in each.members])
        joined, parts = exact_shares(each), exact_shares(split)
        share = {o: one.share for o, one in joined.items()}
        part = {o: one.share for o, one in parts.items()}
        assert part.get("part 1", 0) + part.get("part 2", 0) == share.get(owner, 0)
        assert all(part.get(o, 0) == share.get(o, 0) for o in others)
        # The parts' lower bounds may add up to more than the whole's, at most by what the whole has in escrow.
        whole = joined.get(owner)
        lowers = sum(parts[o].lower(policy().z(split)) for o in ("part 1", "part 2") if o in parts)
        assert lowers <= (whole.share if whole else 0)

    @given(events(), st.data())
    @settings(max_examples=150, deadline=None)
    def test_splitting_with_mixed_signs_gains_at_most_the_clipped_part(self, booked, data):
        """gain = T n / ((p + T)(S + T)) <= n / (p + T): n what the parts clip, p + T what is shared after the split."""
        (each, *_) = booked
        owner = sorted(each.scores)[0]
        first = tuple(data.draw(SCORE) for _ in each.members)
        rest = tuple(n - m for n, m in zip(each.scores[owner], first, strict=True))
        others = {o: sum(row) for o, row in each.scores.items() if o != owner}
        before = shares([sum(each.scores[owner]), *others.values()])[0]
        after = sum(shares([sum(first), sum(rest), *others.values()])[:2])
        positive = max(sum(first), 0) + max(sum(rest), 0)
        clipped = max(-sum(first), 0) + max(-sum(rest), 0)
        total = positive + sum(max(value, 0) for value in others.values())
        assume(total)
        assert 0 <= after - before <= Fraction(clipped, total)

    @given(st.tuples(*[st.integers(1, 100)] * 3), st.tuples(*[st.integers(1, 100)] * 3))
    @settings(deadline=None)
    def test_a_work_that_is_there_twice_counts_twice(self, work, other):
        """Retraining halves the influence of each copy; at fixed scores two copies are two works."""
        once = exact_shares(event({"a": work, "b": other}))["a"].share
        twice = exact_shares(event({"a": tuple(2 * n for n in work), "b": other}))["a"].share
        split = exact_shares(event({"a": work, "a again": work, "b": other}))
        assert split["a"].share + split["a again"].share == twice > once


class TestEdges:
    def test_a_pool_of_one_minor_unit_goes_to_one(self):
        booked = [event({f"owner {o}": (3, 3, 3) for o in range(7)})]
        found = allocate(policy(pool=1), booked, {})
        assert [(line.owner, line.payable) for line in found.lines] == [("owner 0", 1)]

    def test_a_pool_of_nothing_pays_nothing(self):
        found = allocate(policy(pool=0), [event({"a": (1, 2, 3)})], {})
        assert (found.pool, found.lines, found.unallocated) == (0, (), 0)

    @given(st.integers(1000, 4000), st.integers(), st.sampled_from([1, 999, 10**9]))
    @settings(max_examples=4, deadline=None)
    def test_thousands_of_owners_of_any_sign(self, owners, seed, pool):
        drawn = Random(seed)  # hypothesis' own takes a minute for so many numbers
        rows = {f"owner {o}": [drawn.randint(-(1 << 52), 1 << 52) for _ in range(3)] for o in range(owners)}
        chosen, booked = policy(pool=pool), [event(rows)]
        found = allocate(chosen, booked, {})
        paid, held, nobody = amounts(chosen, booked)
        lines = {line.owner: (line.earned, line.escrow) for line in found.lines}
        assert sum(map(sum, lines.values())) + found.unallocated == pool
        assert found.unallocated == nobody
        for owner, exact in paid.items():
            earned, escrow = lines.get(owner, (0, 0))
            assert abs(earned - exact) <= 1 + Fraction(pool * 8, PARTS)
            assert abs(escrow - held[owner]) <= 1 + Fraction(pool * 8, PARTS)

    def test_no_more_than_the_budget_or_its_rest_is_divided(self):
        booked = [event({"a": (1, 1, 1), "b": (3, 3, 3)}, weight=7)]
        chosen = policy(pool=100, spread="event", budget=400)
        assert [allocate(chosen, booked, {}, left).pool for left in (None, 900, 40, 0)] == [400, 700, 40, 0]
        assert totals(allocate(chosen, booked, {}, 40)) == {"a": 10, "b": 30}

    def test_thousands_of_owners(self):
        booked = [event({f"owner {o:04}": (o % 7 - 2, o % 5, o % 11 - 3) for o in range(3000)})]
        found = allocate(policy(pool=12_345), booked, {})
        assert sum(line.earned + line.escrow for line in found.lines) == 12_345
        assert max(line.earned for line in found.lines) <= 12_345 * 3 * 7 // 1000

    def test_nobody_positive_is_unallocated(self):
        booked = [event({"a": (-1, -2, -3)}), event({"a": (1, 1, 1)})]
        found = allocate(policy(pool=101), booked, {})
        assert (found.unallocated, totals(found)) == (50, {"a": 51})

    def test_members_that_agree_leave_nothing_in_escrow(self):
        found = allocate(policy(), [event({"a": (1, 1, 1), "b": (3, 3, 3)})], {})
        assert [(line.owner, line.payable, line.escrow) for line in found.lines] == [
            ("a", 25_000, 0),
            ("b", 75_000, 0),
        ]

    def test_below_the_floor_is_carried_until_it_is_reached(self):
        booked = [event({"small": (1, 1, 1), "large": (99, 99, 99)})]
        chosen = policy(pool=1000, floor=25)
        carried, payable = {}, []
        for _ in range(3):
            found = allocate(chosen, booked, carried)
            carried = {line.owner: line.carried for line in found.lines if line.carried}
            payable.append({line.owner: line.payable for line in found.lines}["small"])
        assert (payable, carried) == ([0, 0, 30], {})

    def test_carried_amounts_come_out_without_new_earnings(self):
        found = allocate(policy(pool=10, floor=5), [event({"a": (1, 1, 1)})], {"gone": 7})
        assert [(line.owner, line.brought, line.payable) for line in found.lines] == [
            ("a", 0, 10),
            ("gone", 7, 7),
        ]

    @given(events())
    @settings(max_examples=50, deadline=None)
    def test_parts_of_an_event_add_up(self, booked):
        for each in booked:
            found = event_parts(each, policy().z(each))
            assert sum(found.values()) == PARTS
            assert min(found.values()) >= 0
