"""Times of the stages of one batch of questions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from byline import progress
from byline.api.answer_parts import Timings

Stage = Literal["predict", "gradient", "transform", "search", "join"]


class StageTimer:
    """Adds up milliseconds by stage. One for each batch."""

    def __init__(self) -> None:
        self._milliseconds: dict[Stage, float] = {}

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Add the time of the block to a stage, and say that it has begun."""
        start = time.perf_counter()
        try:
            with progress.stage(name):
                yield
        finally:
            elapsed = (time.perf_counter() - start) * 1e3
            self._milliseconds[name] = self._milliseconds.get(name, 0.0) + elapsed

    def timings(self) -> Timings:
        """Return the times so far."""
        return Timings(**{name: round(value, 3) for name, value in self._milliseconds.items()})
