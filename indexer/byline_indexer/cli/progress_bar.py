"""Show the progress of a build: a bar in a terminal, lines elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import Event, Lock, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from byline_indexer.progress import RemainingTime

_STEPS = 10_000
EVERY = 30.0
"""Seconds between two lines where no bar can be drawn."""


class _Left(ProgressColumn):
    """Writes the time that remains whenever the bar is drawn, ten times a second, whatever a unit of work takes."""

    def __init__(self, remaining: RemainingTime) -> None:
        super().__init__()
        self._remaining = remaining

    def render(self, task: Task) -> Text:
        """Write the time."""
        del task
        left = self._remaining.seconds()
        return Text("" if left is None else f"{clock(left)} left")


class Bar:
    """One bar over all phases. Outside a terminal, a line for each finished phase, and one every 30 seconds."""

    def __init__(self, progress: Progress, remaining: RemainingTime) -> None:
        self._progress = progress
        self._console = progress.console
        self._task = progress.add_task("starting", total=_STEPS)
        self._remaining = remaining
        self._told: set[str] = set()
        self._phase: str | None = None
        self._lock = Lock()

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Note what phases may take."""
        with self._lock:
            self._remaining.expect(seconds)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Move the bar. It is full only when it goes: a full one would stop its clock."""
        with self._lock:
            self._remaining.progress(phase, done, total)
        if not done:
            return
        self._phase = phase
        self._progress.update(
            self._task,
            description=f"{phase} {done:,}/{total:,}",
            completed=min(int(self._remaining.fraction() * _STEPS), _STEPS - 1),
        )
        if done >= total and not self._console.is_terminal and phase not in self._told:
            self._told.add(phase)
            self._console.print(f"{phase}: {total:,} done", highlight=False)

    def tell(self) -> None:
        """Print the phase that was heard of last, the finished part of all work and the time that remains."""
        with self._lock:
            fraction, left = self._remaining.fraction(), self._remaining.seconds()
        said = "" if left is None else f", {fraction:.0%} of all, {clock(left)} left"
        self.message(f"{self._phase or 'starting'}{said}")

    def message(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, highlight=False, markup=False)


@contextmanager
def bar() -> Iterator[Bar]:
    """Show a bar on the standard error stream for as long as the block runs.

    Yields:
        The observer that moves it.
    """
    console, remaining = Console(stderr=True), RemainingTime()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        _Left(remaining),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = Bar(progress, remaining)
        with nullcontext() if console.is_terminal else _told_now_and_then(shown):
            yield shown


@contextmanager
def _told_now_and_then(shown: Bar) -> Iterator[None]:
    """Print lines from a thread: a unit of work, or one in another process, may tell nothing for minutes."""
    ended = Event()

    def tell() -> None:
        while not ended.wait(EVERY):
            shown.tell()

    thread = Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def clock(seconds: float) -> str:
    """Write a time as people say it: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
