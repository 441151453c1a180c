"""Runs `byline serve` beside the demo, on a free port of this machine, and ends it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from byline.client import Client


@contextmanager
def serving(index: Path, log: Path, *, patience: float = 120.0) -> Iterator[Client]:
    """Serve an index for as long as the block runs.

    Args:
        index: Its directory.
        log: Where the service's own log goes.
        patience: Seconds that it may take until it is ready.

    Yields:
        A client of the service, with the key that a service without accounts makes.

    Raises:
        RuntimeError: The service ended or was not ready in time; the message names the log.
    """
    with (
        TemporaryDirectory() as data,
        started(index, log, Path(data), patience=patience) as (address, key),
        Client(address, key) as client,
    ):
        yield client


@contextmanager
def started(
    index: Path, log: Path, data: Path, *, patience: float = 120.0, module: str = "byline"
) -> Iterator[tuple[str, str]]:
    """Serve an index with accounts in a folder that has none.

    Args:
        index: Its directory.
        log: Where the service's own log goes.
        data: Folder of its database.
        patience: Seconds that it may take until it is ready.
        module: The module that is run.

    Yields:
        Its address, and the key that it makes at its first start.

    Raises:
        RuntimeError: The service ended or was not ready in time; the message names the log.
    """
    command = [sys.executable, "-m", module, "serve", str(index), "--port", "0"]
    environment = os.environ | {"BYLINE_DATA_DIR": str(data)}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        try:
            address = _printed(process, r"http://[^/\s]+", log)
            key = _printed(process, r"byl_\w+", log)
            _wait_until_ready(address, process, log, time.monotonic() + patience)
            yield address, key
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _printed(process: "subprocess.Popen[str]", pattern: str, log: Path) -> str:
    for line in process.stdout or ():
        if found := re.search(pattern, line):
            return found[0]
    raise RuntimeError(f"expected the service to start, it ended: see {log}")


def _wait_until_ready(address: str, process: "subprocess.Popen[str]", log: Path, deadline: float) -> None:
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"expected the service to be ready, it is not: see {log}")
