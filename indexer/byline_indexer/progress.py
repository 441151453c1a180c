"""Report the progress of a build, and estimate the time that remains."""

import time
from collections.abc import Callable
from typing import Protocol


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


class RemainingTime:
    """Estimates the time that remains, each phase at its own speed.

    A phase that has not begun is taken to run at the slowest speed seen so far: estimates are rather too long
    than too short.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._seconds: dict[str, float] = {}
        self._progress: dict[str, tuple[int, int]] = {}

    def progress(self, phase: str, done: int, total: int) -> None:
        """Note how far a phase is. The time since the last note is counted as its own."""
        now = self._clock()
        if done:
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        self._last = now
        self._progress[phase] = (done, total)

    def seconds(self) -> float | None:
        """Estimate the seconds that remain. None while no speed is known."""
        speeds = {p: self._seconds[p] / d for p, (d, _) in self._progress.items() if d and p in self._seconds}
        if not speeds:
            return None
        slowest = max(speeds.values())
        return sum((total - done) * speeds.get(p, slowest) for p, (done, total) in self._progress.items())

    def fraction(self) -> float:
        """Compute the finished part of all announced work, by time."""
        left, spent = self.seconds(), sum(self._seconds.values())
        return 0.0 if left is None or spent + left == 0 else spent / (spent + left)
