"""Report the progress of a build, and estimate the time that remains."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from byline.progress import Step, report_to, stage


class Observer(Protocol):
    """Receives the progress and the messages of a build."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Report how far a phase is. `done` 0 announces the phase.

        Args:
            phase: In words: `"read the training set"`.
            done: Rows, or what else the phase counts.
            total: Of the same.
        """

    def message(self, message: str) -> None:
        """Report a message for a person."""


class Silent:
    """Ignores progress and messages."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Ignore the report."""

    def message(self, message: str) -> None:
        """Ignore the report."""


@runtime_checkable
class Expecting(Protocol):
    """An observer that is told before any work how long each phase may take."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Note the seconds that each phase may take, those that are not announced yet included.

        Args:
            seconds: By phase. Their proportions matter: the seconds are corrected by what phases take.
        """


PREPARE = "check the model"
"""The phase before the work is laid out: what remains after it is not known yet."""
_PARTS = 1000


@contextmanager
def preparing(observer: Observer) -> Iterator[None]:
    """Tell an observer of the steps that the block counts, each as a part of a thousand of the whole block.

    Args:
        observer: Receives the progress of the phase `PREPARE`.
    """
    told = 0
    observer.progress(PREPARE, told, _PARTS)

    def report(step: Step) -> None:
        nonlocal told
        reached = min(int(step.fraction * _PARTS), _PARTS - 1)
        if reached > told:
            told = reached
            observer.progress(PREPARE, told, _PARTS)

    with report_to(report), stage(PREPARE):
        yield
    observer.progress(PREPARE, _PARTS, _PARTS)


class RemainingTime:
    """Estimates the time that remains, each phase at its own speed.

    A phase that has begun runs at the speed that it was seen at, after its first steps. One that has not begun takes what
    was expected, corrected by what begun phases took. Without an expectation it runs at the slowest speed seen so far, so
    that estimates are rather too long than too short.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._phase: str | None = None
        self._seconds: dict[str, float] = {}
        self._progress: dict[str, tuple[int, int]] = {}
        self._expected: dict[str, float] = {}

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Note what phases may take."""
        self._expected |= seconds
        self._last = self._clock()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Note how far a phase is. The time since the last note of any that grew is counted as its own."""
        now = self._clock()
        if self._progress.get(phase) == (done, total):
            return
        if done:
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
            self._phase = phase
        self._last = now
        self._progress[phase] = (done, total)

    def seconds(self) -> float | None:
        """Estimate the seconds that remain now, and not as of the last note. None while no speed of work is known."""
        if not self._expected and self._progress.keys() <= {PREPARE}:
            return None
        speeds = {p: self._seconds[p] / d for p, (d, _) in self._progress.items() if d and p in self._seconds}
        if not speeds and not self._expected:
            return None
        left = {phase: self._left(phase, speeds) for phase in {**self._expected, **self._progress}}
        current = self._current(left)
        if (
            current is not None
        ):  # a unit that runs has done a part of what is left of its phase, and not yet all
            left[current] = max(left[current] - (self._clock() - self._last), left[current] / 20)
        return sum(left.values())

    def _current(self, left: Mapping[str, float]) -> str | None:
        """Find the phase that runs: the last one, or, where it is done, the first one with work left."""
        if self._phase is not None and left.get(self._phase, 0.0) > 0:
            return self._phase
        return next((phase for phase, seconds in left.items() if seconds > 0), None)

    def _left(self, phase: str, speeds: Mapping[str, float]) -> float:
        done, total = self._progress.get(phase, (0, 0))
        if phase in self._progress and not total:  # nothing of it is to be done
            return 0.0
        expected = self._expected.get(phase)
        if phase in speeds:
            seen = speeds[phase] * total
            if expected is None:
                return seen - speeds[phase] * done
            weight = min(1.0, 3 * done / total)  # the first steps of a phase are not like the others
            return (weight * seen + (1 - weight) * expected * self._correction()) * (total - done) / total
        if expected is not None:
            return expected * self._correction()
        return total * max(speeds.values(), default=0.0)

    def _correction(self) -> float:
        """Compute what has been done took, in units of what was expected of it; near one while little is done."""
        known = [
            p
            for p, (done, _) in self._progress.items()
            if done and p in self._seconds and p in self._expected
        ]
        parts = [self._expected[p] * self._progress[p][0] / self._progress[p][1] for p in known]
        doubt = _DOUBT * sum(self._expected.values())
        return (sum(self._seconds[p] for p in known) + doubt) / (sum(parts) + doubt) if doubt else 1.0

    def fraction(self) -> float:
        """Compute the finished part of all announced work, by time."""
        left, spent = self.seconds(), sum(self._seconds.values())
        return 0.0 if left is None or spent + left == 0 else spent / (spent + left)


_DOUBT = 0.05
"""Part of all work that must be done until it corrects what was expected by half."""
