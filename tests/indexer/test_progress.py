"""Remaining time: within a factor of two from the first tenth on, and never still, over durations of recorded builds."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from byline.progress import count_steps
from byline_indexer.progress import PREPARE, Expecting, RemainingTime, Silent, preparing


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


Phases = list[tuple[str, int, float, float]]
"""Name, steps that are told, seconds of a step, and seconds that were expected of all steps."""

LANGUAGE_MODEL: Phases = [
    ("read training set", 100, 0.002, 0.5),
    ("measure factors", 4, 24.0, 70.0),
    ("reduce factors", 32, 4.0, 90.0),
    ("measure eigenvalues", 4, 26.0, 75.0),
    ("reduce eigenvalues", 3, 3.0, 5.0),
    ("widen", 4, 30.0, 80.0),
    ("sketch 0", 4, 1.5, 4.0),
    ("gather 0", 1, 4.0, 2.0),
    ("mix 0", 1, 3.0, 2.0),
    ("direct 0", 1, 3.0, 2.0),
    ("emit", 4, 1.0, 3.0),
    ("write search", 10, 0.3, 2.0),
    ("verify", 10, 0.8, 6.0),
]
PROJECTED: Phases = [
    ("read training set", 100, 0.001, 0.1),
    ("project", 20, 5.0, 130.0),
    ("measure fisher", 1, 6.0, 4.0),
    ("reduce fisher", 32, 2.0, 45.0),
    ("emit", 20, 0.4, 10.0),
    ("write vectors", 10, 0.2, 3.0),
    ("verify", 10, 0.5, 4.0),
]


def seconds_of(phases: Phases) -> float:
    return sum(units * seconds for _, units, seconds, _ in phases)


def ticks(phases: Phases, clock: Clock, remaining: RemainingTime) -> Iterator[float]:
    """Run a recorded build a second at a time.

    Yields:
        The seconds that are truly left.
    """
    remaining.expect({name: expected for name, _, _, expected in phases})
    for name, units, _, _ in phases:
        if not name.startswith(("write", "verify")):  # announced when they begin
            remaining.progress(name, 0, units)
    total = seconds_of(phases)
    for name, units, seconds, _ in phases:
        for unit in range(units):
            end = clock.now + seconds
            while clock.now + 1 < end:
                clock.now += 1
                yield total - clock.now
            clock.now = end
            remaining.progress(name, unit + 1, units)


@pytest.mark.parametrize("phases", [LANGUAGE_MODEL, PROJECTED])
@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
def test_what_remains_is_known_within_a_factor_of_two(phases: Phases, slower: float) -> None:
    clock = Clock()
    remaining = RemainingTime(clock)
    recorded = [(name, units, seconds * slower, expected) for name, units, seconds, expected in phases]
    total = seconds_of(recorded)
    for left in ticks(recorded, clock, remaining):
        if clock.now < total / 10 or left < 0.03 * total:
            continue
        told = remaining.seconds()
        assert told is not None
        assert left / 2 < told < 2 * left, f"after {clock.now:.0f} of {total:.0f} s"


def test_time_that_remains_ticks_while_a_unit_runs() -> None:
    clock = Clock()
    remaining = RemainingTime(clock)
    told = [remaining.seconds() for _ in ticks(LANGUAGE_MODEL, clock, remaining)]
    still = [one == other for one, other in pairwise(told)]
    runs = "".join("s" if each else "." for each in still).split(".")
    assert max(map(len, runs)) < 5


def test_phases_without_work_take_no_time() -> None:
    clock = Clock()
    remaining = RemainingTime(clock)
    remaining.expect({"emit": 10.0, "rotate": 5.0})
    assert remaining.seconds() == pytest.approx(15.0)
    remaining.progress("rotate", 0, 0)
    assert remaining.seconds() == pytest.approx(10.0)


def test_an_observer_need_not_expect_anything() -> None:
    assert not isinstance(Silent(), Expecting)


class Notes:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def progress(self, phase: str, done: int, total: int) -> None:
        self.told.append((phase, done, total))

    def message(self, message: str) -> None:
        pass


def test_steps_before_the_work_are_told_one_by_one() -> None:
    notes = Notes()
    with preparing(notes), count_steps(None, 4) as advance:
        for _ in range(4):
            with count_steps(None, 5) as inner:
                for _ in range(5):
                    inner(1)
            advance(1)
    assert {phase for phase, _, _ in notes.told} == {PREPARE}
    done = [each / total for _, each, total in notes.told]
    assert done[0] == 0
    assert done[-1] == 1
    assert len(done) > 16
    assert all(before <= after <= before + 0.051 for before, after in pairwise(done)), "never back, no leap"


def test_nothing_is_told_of_the_rest_before_it_is_laid_out() -> None:
    clock = Clock()
    remaining = RemainingTime(clock)
    for done in range(3):
        remaining.progress(PREPARE, done, 10)
        clock.now += 2.0
    assert remaining.seconds() is None
    remaining.progress(PREPARE, 10, 10)
    remaining.expect({"emit": 10.0})
    assert remaining.seconds() == pytest.approx(10.0)


def test_a_report_of_the_same_work_takes_no_time_from_it() -> None:
    told = []
    for repeats in (0, 5):
        clock = Clock()
        remaining = RemainingTime(clock)
        remaining.expect({"emit": 40.0})
        remaining.progress("emit", 0, 4)
        for _ in range(2):
            for _ in range(repeats):
                clock.now += 2.0
                remaining.progress("emit", *remaining._progress["emit"])
            clock.now += 10.0 - 2.0 * repeats
            remaining.progress("emit", remaining._progress["emit"][0] + 1, 4)
        told.append(remaining.seconds())
    assert told[0] == told[1]
