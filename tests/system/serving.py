"""Run `byline serve` in a process of its own over a small index."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(str(ROOT / folder) for folder in (".", "service", "indexer"))
"""The import path of a process that runs this checkout."""
TINY = ROOT / "tests" / "indexer" / "tiny_task.py"
QUERY = b'{"x": [0.5, -1, 0.25, 2, 0, 1]}'
START_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    key: str | None
    log: Path

    def key_of(self, person: str, *scopes: str) -> str:
        """Make a key on the command line, in the server's data folder."""
        asked = [word for scope in scopes for word in ("--scope", scope)]
        command = [sys.executable, "-m", "byline", "keys", "create", "test", "--person", person, *asked]
        environment = os.environ | {"PYTHONPATH": SOURCES, "BYLINE_DATA_DIR": str(self.log.parent / "data")}
        made = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
        return made.stdout.strip()

    def get(self, path: str) -> tuple[int, bytes]:
        """Send a GET request."""
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def post(self, path: str, body: bytes, *, key: str | None = None) -> tuple[int, bytes]:
        """Send a JSON body under a new idempotency key, with the server's key or another."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers))

    def ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        """Send a request, with the key unless it has one, and return status and body."""
        if self.key and not request.has_header("Authorization"):
            request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def tiny_index(folder: Path) -> Path:
    """Build an index of the tiny Task of the indexer's tests."""
    from byline_indexer.build.build import build
    from byline_indexer.config import load_config

    (folder / "tiny_task.py").write_text(TINY.read_text())
    (folder / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
        '[recipe.members]\nmasks = 2\n[index]\npath = "index"\n'
    )
    build(load_config(folder / "build.toml"))
    return folder / "index"


@contextmanager
def serving(
    index: Path, folder: Path, key: str | None = None, *, module: str = "byline", **settings: str
) -> Iterator[Served]:
    """Run `byline serve` on a free port.

    Args:
        index: The index, served under the name `tiny`.
        folder: The folder of its log and its data.
        key: A key that it knows. None takes the key that it creates and prints.
        module: The module that is run.
        settings: Further settings, by name.

    Yields:
        The ready server.
    """
    environment = os.environ | {
        "PYTHONPATH": SOURCES,
        "OMP_NUM_THREADS": "1",
        "BYLINE_DATA_DIR": str(folder / "data"),
        "BYLINE_DRAIN_SECONDS": "0",
        **{f"BYLINE_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", module, "serve", f"tiny={index}", "--port", "0", "--threads", "1"]
    log = folder / "log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, cwd=folder
        ) as process,
    ):
        try:
            served = _announced(process, log, key)
            _wait_ready(served)
            yield served
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _announced(process: subprocess.Popen[str], log: Path, key: str | None) -> Served:
    """Read the address and the first key, which a new service prints once."""
    assert process.stdout is not None
    port = None
    for line in process.stdout:
        words = line.replace("#", " ").replace("=", " ").split()
        key = key or next((word for word in words if word.startswith("byl_")), None)
        if " at http://127.0.0.1:" in line:
            port = int(line.split("127.0.0.1:")[1].split("/")[0])
        if port is not None and "Ctrl+C" in line:
            return Served(process, port, key, log)
    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")


def _wait_ready(served: Served) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if served.get("/readyz")[0] == 200:
            return
        time.sleep(0.05)
    raise SystemExit(f"the server was not ready within {START_SECONDS:g} s")


def answer_without_timings(served: Served) -> object:
    """Attribute one query and drop the timings: equal answers mean an unchanged service."""
    status, body = served.post("/v1/indexes/tiny/attributions", b'{"query": ' + QUERY + b', "shares": true}')
    if status != 200:
        raise SystemExit(f"expected an answer, got {status}: {body.decode()}")
    answer = json.loads(body)
    del answer["timings"]
    return answer
