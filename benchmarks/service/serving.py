"""The server's process: start it, ask it for direct figures, read its memory, end it by its pid."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.service.cases import Case

PATIENCE = 180.0
"""Seconds until a server must be ready, or must have exited."""


class Server:
    """One running server.

    Args:
        process: Its process.
        case: What it serves.
        log: Where its log goes.
    """

    def __init__(self, process: "subprocess.Popen[str]", case: Case, log: Path) -> None:
        self.process, self.case, self.log = process, case, log
        self.port = 0
        self.key: str | None = None

    def wait(self) -> Self:
        """Read the address and the key that it prints, and wait until it is ready."""
        end = time.monotonic() + PATIENCE
        for line in self.process.stdout or ():
            if found := re.search(r"byl_[0-9A-Za-z_]+", line):
                self.key = found[0]
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
            if "Ctrl+C" in line:
                break
        while self.port and self.process.poll() is None and time.monotonic() < end:
            try:
                if self.read("/readyz"):
                    return self
            except URLError:
                time.sleep(0.05)
        raise SystemExit(f"the server did not become ready: {self.log.read_text()[-2000:]}")

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        key = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return {"host": f"127.0.0.1:{self.port}", "content-type": "application/json", **key}

    @property
    def path(self) -> str:
        """Path of attributions."""
        return f"/v1/indexes/{self.case.name}/attributions"

    def connect(self) -> HTTPConnection:
        """Open a connection."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(
        self, connection: HTTPConnection, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a request, and return the status and the JSON of the answer."""
        connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content)

    def read(self, path: str) -> bytes:
        """GET a page."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers=self.headers)
        with urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
            content: bytes = response.read()
            return content

    def direct(self, batch: int, seconds: float) -> float:
        """Measure the queries per second that the compute thread answers without HTTP."""
        queries = [self.case.queries[number % len(self.case.queries)] for number in range(batch)]
        asked = {
            "name": self.case.name,
            "queries": queries,
            "options": self.case.options,
            "seconds": seconds,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("direct "):
                return float(json.loads(line.removeprefix("direct "))["rate"])
        raise SystemExit(f"the server ended: {self.log.read_text()[-2000:]}")

    def resident(self) -> int:
        """Read its anonymous memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found
        return 1024 * int(found[1])

    def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(case: Case, threads: int = 1, **settings: str) -> Iterator[Server]:
    """Serve a case while the block runs.

    Args:
        case: What is served.
        threads: Threads of torch and FAISS; one leaves HTTP a core of two.
        settings: More settings by name, as in `queue_requests="8"`.

    Yields:
        The server, ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "benchmarks.service.served", f"{case.name}={case.index}"]
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [*command, "--port", "0", "--threads", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=_environment(Path(folder), threads, settings),
            ) as process,
        ):
            try:
                yield Server(process, case, log).wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(30)
                    except subprocess.TimeoutExpired:
                        process.kill()


def _environment(folder: Path, threads: int, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BYLINE_")}
    own = {"BYLINE_DATA_DIR": str(folder / "data"), "BYLINE_DRAIN_SECONDS": "0.2"}
    given = {f"BYLINE_{name.upper()}": value for name, value in settings.items()}
    return {**kept, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", **own, **given}
