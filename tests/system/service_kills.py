"""Kill the service with SIGKILL while clients book events and post runs: nothing may be lost or doubled.

    python -m tests.system.service_kills                               # 100 kills, SQLite
    python -m tests.system.service_kills --database postgresql --kills 30
    python -m tests.system.service_kills --smoke                       # 2 kills

A real `byline serve` on a tiny index. Each client books one event after the other under an idempotency key of its
own, and sends it again with the same key until it is acknowledged. Two persons draft, approve and post statement
runs meanwhile, in the same way. The service is killed at random moments, some of them within milliseconds of a
request, and started again. At the end: every acknowledged event is in the journal exactly once, under the id that
was acknowledged; nothing is there twice; a sample of keys, sent again, is answered as before; `byline ledger verify`
finds nothing wrong. Exit code 1: something was.
"""

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.service.postgres import PostgresServer
from tests.system.expectations import Expectations
from tests.system.quick_days import QUICK_DAYS
from tests.system.serving import SOURCES, START_SECONDS, tiny_index

CLIENTS = 4
LONGEST_LIFE = 2.0
"""Longest time in seconds before a ready service is killed."""
SURE = (200, 201)
REFUSED = (404, 422)
"""Statuses that end an attempt: the request cannot be done now."""


@dataclass
class Books:
    """Acknowledgements and failures, as the clients saw them."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Idempotency key -> id of its event."""
    posted: list[str] = field(default_factory=list)
    """Runs whose posting was acknowledged."""
    replayed: int = 0
    """Repeated answers: the request was done before, and its answer lost."""
    broken: int = 0
    """Requests that got no answer."""
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Unexpected answers."""


class Service:
    """A `byline serve` that is killed and restarted at the same address.

    Args:
        folder: Holds the index, and the accounts' data.
        environment: Where its database is.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", **environment}
        self.environment[QUICK_DAYS] = str(time.time())
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def byline(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command on the same database."""
        command = [sys.executable, "-m", "byline", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def key(self, person: str, *scopes: str) -> str:
        """Make a key."""
        asked = itertools.chain.from_iterable(("--scope", scope) for scope in scopes)
        done = self.byline("keys", "create", "benchmark", "--person", person, *asked)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Start the service, and wait until it is ready."""
        command = [
            sys.executable,
            "-m",
            "tests.system.quick_days",
            "serve",
            "tiny=index",
            "--port",
            str(self.port),
        ]
        with (self._folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if request(self.port, "GET", "/readyz", "").status == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.02)
        raise SystemExit(f"the service did not start: see {self._folder / 'service.log'}")

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass
class Answer:
    """The answer to one request."""

    status: int
    body: Any
    replayed: bool

    @property
    def conflict(self) -> bool:
        """Return whether the state of the books refuses the request, unlike one that is still running."""
        return self.status == 409 and self.body["type"].endswith(":conflict")


def request(port: int, method: str, path: str, key: str, *, body: Any = None, once: str = "") -> Answer:
    """Send one request on a connection of its own."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": once}
    sent = b"" if body is None else json.dumps(body).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, sent, headers)
        response = connection.getresponse()
        read = response.read()
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        parsed = json.loads(read) if "json" in (response.headers.get("Content-Type") or "") else None
        return Answer(response.status, parsed, replayed)
    finally:
        connection.close()


class Client(threading.Thread):
    """A client that repeats each request until it is acknowledged.

    Args:
        service: The service.
        books: Its records.
        stop: Ends it after the current request.
    """

    def __init__(self, service: Service, books: Books, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.service, self.books, self.stopped = service, books, stop

    def until_answered(self, path: str, key: str, once: str, body: Any = None) -> Answer:
        """Repeat a request with the same idempotency key until it is answered."""
        while True:
            try:
                answer = request(self.service.port, "POST", path, key, body=body, once=once)
            except (OSError, HTTPException, ValueError):
                self.books.broken += 1
                time.sleep(0.1)
                continue
            self.books.statuses[answer.status] += 1
            self.books.replayed += answer.replayed
            if answer.status in {*SURE, *REFUSED} or answer.conflict:
                return answer
            if answer.status not in {409, 503}:
                self.books.wrong.append(f"{path}: {answer.status} {answer.body}")
            time.sleep(0.02)


class Booker(Client):
    """A client that books events."""

    def __init__(self, service: Service, books: Books, stop: threading.Event, key: str, number: int) -> None:
        super().__init__(service, books, stop)
        self.key, self.number = key, number

    def run(self) -> None:
        for n in itertools.count():
            if self.stopped.is_set():
                return
            once = f"client-{self.number}-{n}"
            answer = self.until_answered("/v1/indexes/tiny/events", self.key, once, body_of(once, n))
            if answer.status != 201 or answer.body["reference"] != once:
                self.books.wrong.append(f"{once}: {answer.status} {answer.body}")
                continue
            self.books.acknowledged[once] = answer.body["id"]


class Treasurers(Client):
    """A client that drafts, approves and posts runs as two persons."""

    def __init__(self, service: Service, books: Books, stop: threading.Event, keys: tuple[str, str]) -> None:
        super().__init__(service, books, stop)
        self.drafter, self.approver = keys

    def run(self) -> None:
        draft = {"draft": {"kind": "allocation", "policy": "royalties"}}  # of the last day that ended
        for n in itertools.count():
            if self.stopped.wait(0.2):
                return
            answer = self.until_answered("/v1/statement-runs", self.drafter, f"draft-{n}", draft)
            if answer.status != 201:
                continue  # the day is paid, or had no event
            run = answer.body["id"]
            for step in ("approve", "post"):
                path = f"/v1/statement-runs/{run}/{step}"
                answer = self.until_answered(path, self.approver, f"{step}-{n}")
                if answer.status != 200:
                    self.books.wrong.append(f"{step}-{n}: {answer.status} {answer.body}")
            self.books.posted.append(run)


def body_of(once: str, n: int) -> dict[str, Any]:
    """Write an event's body, the same for the same key."""
    query = {"x": [0.5 - n % 7, -1.0, 0.25 * (n % 5), 2.0, 0.0, 1.0], "label": n % 3}
    return {"query": query, "reference": once, "weight": 1 + n % 3}


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """Prepare the environment of a service on a new database.

    Yields:
        Environment variables.
    """
    settings = {"BYLINE_DATA_DIR": str(folder / "data"), "BYLINE_SECRET": "benchmark " * 4}
    if kind == "sqlite":
        yield settings
        return
    server = PostgresServer()
    try:
        yield settings | {"BYLINE_DATABASE_URL": server.url(server.fresh())}
    finally:
        server.remove()


def run_kills(service: Service, kills: int, seed: int) -> Books:
    """Book events while the service is killed a number of times.

    Returns:
        The records of the clients.
    """
    chance = random.Random(seed)
    books, stop = Books(), threading.Event()
    service.start()
    admin = service.key("root", "admin")
    policy = {
        "name": "royalties",
        "currency": "EUR",
        "pool": 10_001,
        "period": "day",
        "floor": 900,
        "multiplier": 1.0,
    }
    made = request(service.port, "POST", "/v1/policies", admin, body=policy, once="policy")
    assert made.status == 201, made.body
    key = service.key("ada", "compensate", "read")
    clients: list[Client] = [Booker(service, books, stop, key, number) for number in range(CLIENTS)]
    clients.append(Treasurers(service, books, stop, (key, service.key("grace", "approve"))))
    for client in clients:
        client.start()
    for number in range(1, kills + 1):
        time.sleep(chance.uniform(0.02, LONGEST_LIFE))
        service.kill()
        print(f"{number} of {kills} kills, {len(books.acknowledged)} events", file=sys.stderr, flush=True)
        service.start()
    time.sleep(1.0)
    stop.set()
    for client in clients:
        client.join(60)
    books.wrong += [f"{client.name} did not end" for client in clients if client.is_alive()]
    _ask_again(service, books, key, chance)
    return books


def _ask_again(service: Service, books: Books, key: str, chance: random.Random) -> None:
    """Repeat some acknowledged requests: the answers must be the same."""
    known = sorted(books.acknowledged)
    for once in chance.sample(known, min(50, len(known))):
        body = body_of(once, int(once.rpartition("-")[2]))
        answer = request(service.port, "POST", "/v1/indexes/tiny/events", key, body=body, once=once)
        if not answer.replayed or answer.body["id"] != books.acknowledged[once]:
            books.wrong.append(f"{once}, sent again, is answered otherwise")


def booked(journal: Path) -> tuple[Counter[str], dict[str, str], int]:
    """Read an exported journal: bookings of each reference, their ids, and the number of postings."""
    references: Counter[str] = Counter()
    ids, postings = {}, 0
    for line in journal.read_text().splitlines():
        fact = json.loads(json.loads(line)["document"])["fact"]
        postings += fact["kind"] == "posting"
        if fact["kind"] == "event":
            references[fact["event"]["reference"]] += 1
            ids[fact["event"]["reference"]] = fact["event"]["id"]
    return references, ids, postings


def report(folder: Path, service: Service, books: Books, kills: int) -> int:
    """Compare the journal with the acknowledgements, and print the result.

    Returns:
        The exit code.
    """
    expectations, journal = Expectations(), folder / "journal.jsonl"
    verified = service.byline("ledger", "verify")
    exported = service.byline("ledger", "export", str(journal))
    assert exported.returncode == 0, exported.stderr
    references, ids, postings = booked(journal)
    lost = [once for once, found in books.acknowledged.items() if ids.get(once) != found]
    print(f"kills: {kills}")
    print(f"events acknowledged: {len(books.acknowledged)}, in the journal: {references.total()}")
    print(f"runs posted: {postings}, acknowledged: {len(books.posted)}")
    print(f"requests without an answer: {books.broken}, answers repeated: {books.replayed}")
    print(f"answers by status: {dict(sorted(books.statuses.items()))}")
    print(verified.stdout.strip() or verified.stderr.strip())
    for wrong in books.wrong[:10]:
        print(f"wrong: {wrong}")
    expectations.none("acknowledged events that are lost or have another id", len(lost))
    expectations.none("events that are booked twice", sum(count > 1 for count in references.values()))
    expectations.none("events that nobody was told of", len(references) - len(books.acknowledged))
    expectations.none("wrong answers", len(books.wrong))
    expectations.none("exit code of byline ledger verify", verified.returncode)
    expectations.at_least("events", len(books.acknowledged), kills)
    return expectations.exit_code()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--smoke", action="store_true", help="two kills")
    options = parser.parse_args()
    kills = 2 if options.smoke else options.kills
    with tempfile.TemporaryDirectory(prefix="byline-service-kills-") as name:
        folder = Path(name)
        tiny_index(folder)
        with databases(options.database, folder) as environment:
            service = Service(folder, environment)
            assert (done := service.byline("migrate")).returncode == 0, done.stderr
            try:
                books = run_kills(service, kills, options.seed)
            finally:
                service.kill()
            return report(folder, service, books, kills)


if __name__ == "__main__":
    raise SystemExit(main())
