"""Spawn processes of this machine that share work and end with their parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any


def spawned(workers: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    """Make a pool whose processes end with this one.

    They are spawned, never forked: a fork after torch has started its threads hangs.

    Args:
        workers: How many.
        start: Called in each process before its first call.
        arguments: What `start` takes, pickled. Always less than the 64 KB of a pipe: if a process dies before
            it reads more, this one would wait forever.

    Returns:
        The pool. Its processes start with the first calls: submit these under `interrupts_held`.
    """
    return ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(start, arguments),
    )


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: they inherit that, and their parent decides what it means."""
    resource_tracker.ensure_running()  # its own start would let go of the signal
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def end_in_unguarded_script() -> None:
    """End a spawned process that imports its parent's script and meets the call that spawns.

    Its parent is told that the process ended, and says what to do.

    Raises:
        SystemExit: It is such a process.
    """
    # What multiprocessing itself asks before it refuses to spawn; there is no public name for it.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


def _start(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """End this process with its parent, so that none goes on writing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
