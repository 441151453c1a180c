"""Progress of a long computation, without a callback through every layer.

A caller puts a function in place around the call (`report_to`). Long-running code names its stages
(`stage`) and counts its steps (`count_steps`, `count_items`). Counts nest: six members of a hundred iterations each.
Without a function in place, all of this does nothing.

The function is called in the computation's own thread, between steps. It ends the computation by raising `Cancelled`.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class Cancelled(BaseException):
    """The computation was cancelled. Not an `Exception`, so that code which survives exceptions stops too."""


@dataclass(frozen=True)
class Step:
    """The state of a computation."""

    stage: str
    """Name of the stage."""
    done: int = 0
    """Finished steps of the innermost count with a name."""
    total: int = 0
    """Steps of that count at most. 0 where steps are not counted."""
    fraction: float = 0.0
    """Fraction of the whole stage that is done, 0 to 1, over all nested counts."""


Report = Callable[[Step], None]


@dataclass
class _Count:
    name: str | None
    total: int
    done: int = 0
    span: int = 1
    """Steps that the running one counts as, which counts inside this one refine."""
    told: float = 0.0
    """Largest fraction that was told while this was the outermost count."""


@dataclass
class _Counts:
    report: Report
    names: list[str] = field(default_factory=list)
    counts: list[_Count] = field(default_factory=list)

    def tell(self) -> None:
        fraction = 0.0
        for count in reversed(self.counts):
            fraction = min(1.0, (count.done + fraction * count.span) / max(1, count.total))
        if (
            self.counts
        ):  # counts inside one step follow each other: the fraction waits for them and never falls
            self.counts[0].told = fraction = max(fraction, self.counts[0].told)
        named = next((c for c in reversed(self.counts) if c.name), None)
        name = named.name if named and named.name else self.names[-1]
        self.report(Step(name, named.done if named else 0, named.total if named else 0, fraction))


_current: ContextVar[_Counts | None] = ContextVar("progress", default=None)


@contextmanager
def report_to(report: Report) -> Iterator[None]:
    """Tell a function about everything that is done inside the block.

    Args:
        report: Called with each step, in this thread; may raise `Cancelled`.
    """
    token = _current.set(_Counts(report))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Say what the block does."""
    counts = _current.get()
    if counts is None:
        yield
        return
    counts.names.append(name)
    try:
        counts.tell()
        yield
    finally:
        counts.names.pop()


@contextmanager
def count_steps(name: str | None, total: int) -> Iterator[Callable[[int], None]]:
    """Count the steps of the block.

    Args:
        name: Name of the counted steps. None refines the count around this one.
        total: Most steps of the block.

    Yields:
        A function to call with the number of steps that were just done.
    """
    counts = _current.get()
    if counts is None:
        yield lambda _: None
        return
    own = _Count(name, total)

    def advance(steps: int) -> None:
        own.done += steps
        counts.tell()

    counts.counts.append(own)
    try:
        counts.tell()
        yield advance
    finally:
        counts.counts.pop()


@contextmanager
def several_steps(steps: int) -> Iterator[None]:
    """Let what is counted inside the block refine several steps of the count around it, such as a batch of them."""
    counts = _current.get()
    if counts is None or not counts.counts:
        yield
        return
    around = counts.counts[-1]
    before, around.span = around.span, steps
    try:
        yield
    finally:
        around.span = before


def count_items(name: str | None, items: Collection[T]) -> Iterator[T]:
    """Iterate and count.

    Args:
        name: Name of the counted steps. None refines the count around this one.
        items: Items to iterate over.

    Yields:
        Each item.
    """
    with count_steps(name, len(items)) as advance:
        for item in items:
            yield item
            advance(1)
