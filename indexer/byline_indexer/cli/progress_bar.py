"""Show the progress of a build: a bar in a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from byline_indexer.progress import RemainingTime

_STEPS = 10_000


class Bar:
    """One bar over all phases. Outside a terminal, a line for each finished phase."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._console = progress.console
        self._task = progress.add_task("starting", total=_STEPS, left="")
        self._remaining = RemainingTime()
        self._told: set[str] = set()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Move the bar."""
        self._remaining.progress(phase, done, total)
        if not done:
            return
        left = self._remaining.seconds()
        self._progress.update(
            self._task,
            description=f"{phase} {done:,}/{total:,}",
            completed=int(self._remaining.fraction() * _STEPS),
            left="" if left is None else f"{clock(left)} left",
        )
        if done >= total and not self._console.is_terminal and phase not in self._told:
            self._told.add(phase)
            self._console.print(f"{phase}: {total:,} done", highlight=False)

    def message(self, message: str) -> None:
        """Print a line above the bar."""
        self._console.print(message, highlight=False, markup=False)


@contextmanager
def bar() -> Iterator[Bar]:
    """Show a bar on the standard error stream for as long as the block runs.

    Yields:
        The observer that moves it.
    """
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress)


def clock(seconds: float) -> str:
    """Write a time as people say it: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
