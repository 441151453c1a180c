"""Kill the service with SIGKILL while clients book, pay and reverse: nothing may be lost, doubled or paid twice.

    python -m tests.system.money_kills                       # 300 kills, SQLite
    python -m tests.system.money_kills --database postgresql --kills 100
    python -m tests.system.money_kills --smoke               # 2 kills

A real `byline serve` on a tiny index. Two clients book questions and receipts. Two others work on one policy against each
other, each as a drafter and an approver: they divide pools, pay and confirm payouts, place and end holds, release held
amounts, and reverse runs. Every request is sent again under its idempotency key until it is answered.

After each kill, while the service starts again, `byline ledger verify` runs in this process. A second reading with rules of
its own counts the effects of each record. At the end every acknowledged request is sent again, and must get its first
answer. Exit code 1: something is wrong.

Every start is a fork of a process that has opened the index: see `tests.system.warm_commands`.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from unittest.mock import patch

from byline_service.accounts.secret import open_database
from byline_service.cli.common import read_settings
from tests.system.expectations import Expectations
from tests.system.money_audit import Audit
from tests.system.money_clients import (
    POLICY,
    Desk,
    EventBooker,
    MoneyBooks,
    MoneyClient,
    Treasurer,
)
from tests.system.service_kills import Service, databases, request
from tests.system.serving import START_SECONDS, tiny_index

POOL = 10_001
BOOKERS = TREASURERS = 2
PERSONS = {"root": ("admin",), "ada": ("compensate", "query", "read"), "grace": ("approve",)}


class WarmService(Service):
    """A service whose processes are forks of one that has opened the index.

    Args:
        folder: Holds the index, and the accounts' data.
        environment: Where its database is.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, environment)
        self._log = folder / "service.log"
        with self._log.open("ab") as log:
            self._host = subprocess.Popen(
                [sys.executable, "-m", "tests.system.warm_commands"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
                cwd=folder,
            )
        self._child = 0

    def command(self, *arguments: str) -> str:
        """Run another command while no service runs.

        Returns:
            Its output.
        """
        output = self._log.with_name(f"output-{time.monotonic_ns()}")
        self._send(output, *arguments)
        self._line()  # the process
        assert int(self._line()) == 0, output.read_text()
        return output.read_text()

    def open(self) -> None:
        """Open the index and the socket. No other command can follow."""
        self._send(self._log, "serve", "tiny=index", "--port", str(self.port), "--threads", "1")

    def launch(self) -> None:
        """Start a process, and return at once."""
        self._send()
        self._child = int(self._line())

    def wait(self) -> None:
        """Wait until the process is ready."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                if request(self.port, "GET", "/readyz", "").status == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.02)
        raise SystemExit(f"the service did not start: {self._log.read_text()[-4000:]}")

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        os.kill(self._child, signal.SIGKILL)
        assert int(self._line()) == -signal.SIGKILL, self._log.read_text()[-4000:]

    def close(self) -> None:
        """End the host."""
        self._host.communicate()

    def _send(self, *words: object) -> None:
        assert self._host.stdin is not None
        self._host.stdin.write(json.dumps(list(map(str, words))) + "\n")
        self._host.stdin.flush()

    def _line(self) -> str:
        assert self._host.stdout is not None
        return self._host.stdout.readline()


def open_books(service: WarmService) -> Desk:
    """Make the persons and the policy, and leave the service running."""
    service.command("migrate")
    keys = {}
    for person, scopes in PERSONS.items():
        asked = [word for scope in scopes for word in ("--scope", scope)]
        made = service.command("keys", "create", "benchmark", "--person", person, *asked).split()
        keys[person] = next(word for word in made if word.startswith("byl_"))
    service.open()
    service.launch()
    service.wait()
    policy = {
        "name": POLICY,
        "currency": "EUR",
        "pool": POOL,
        "period": "week",
        "floor": 900,
        "multiplier": 0.2,
    }
    made_policy = request(service.port, "POST", "/v1/policies", keys["root"], body=policy, once="policy")
    assert made_policy.status == 201, made_policy.body
    return Desk(service, MoneyBooks(), threading.Event(), keys)


def run_kills(desk: Desk, audit: Audit, options: argparse.Namespace) -> int:
    """Kill the service a number of times, and verify the books after each.

    Returns:
        Number of kills until the first finding, or the end of the time.
    """
    service, kills, seed = desk.service, 2 if options.smoke else options.kills, options.seed
    assert isinstance(service, WarmService)
    end = time.monotonic() + 60 * options.minutes
    chance, clients = random.Random(seed), list[MoneyClient]()
    clients += [EventBooker(desk, f"events-{n}", seed + n) for n in range(BOOKERS)]
    clients += [Treasurer(desk, f"runs-{n}", seed + 10 + n) for n in range(TREASURERS)]
    for client in clients:
        client.start()
    done = 0
    while done < kills and not audit.wrong and time.monotonic() < end:
        time.sleep(chance.uniform(0.02, options.life))
        service.kill()
        done += 1
        known = [act.record for act in list(desk.books.acts.values())]
        service.launch()
        begun = time.monotonic()
        asyncio.run(_checked(audit, known))
        verified = time.monotonic() - begun
        service.wait()
        started = time.monotonic() - begun
        print(
            f"{done} of {kills} kills, {audit.sequence} records, {len(known)} acts, "
            f"verified in {verified:.1f} s, ready in {started:.1f} s",
            flush=True,
        )
    time.sleep(1.0)
    desk.stop.set()
    for client in clients:
        client.join(60)
    desk.books.wrong += [f"{client.label} did not end" for client in clients if client.is_alive()]
    return done


async def _checked(audit: Audit, known: list[tuple[str, str]]) -> None:
    try:
        await audit.check(known, POOL)
    finally:
        await audit.database.dispose()  # its connections belong to this loop


def ask_again(service: WarmService, desk: Desk) -> int:
    """Repeat every acknowledged request.

    Returns:
        Number of requests that were not given their first answer.
    """
    others = 0
    for once, act in desk.books.acts.items():
        key = desk.keys[act.person]
        answer = request(service.port, "POST", act.path, key, body=act.body, once=once)
        others += not answer.replayed or (answer.status, answer.body) != (act.status, act.answer)
    return others


def report(desk: Desk, audit: Audit, others: int, kills: int) -> int:
    """Print the figures.

    Returns:
        The exit code.
    """
    books, expectations = desk.books, Expectations()
    acts = Counter(act.record[0] for act in books.acts.values())
    unknown = set(audit.records) - {act.record for act in books.acts.values()}
    print(f"kills: {kills}")
    print(f"records: {audit.sequence}, acknowledged acts: {dict(sorted(acts.items()))}")
    print(f"posted runs: {dict(sorted(audit.kinds.items()))}")
    print(f"paid to owners: {sum(n for (name, _), n in audit.balances.items() if name == 'paid')}")
    print(
        f"requests without an answer: {books.broken}, refused: {books.refused}, answers repeated: {books.replayed}"
    )
    for wrong in (audit.wrong + books.wrong)[:20]:
        print(f"wrong: {wrong}")
    expectations.none("findings after a kill", len(audit.wrong))
    expectations.none("acts that nobody was told of", len(unknown))
    expectations.none("keys with another answer than the first", others)
    expectations.none("wrong answers", len(books.wrong))
    expectations.at_least("acknowledged acts", acts.total(), kills)
    return expectations.exit_code()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=60.0, help="longest time of the kills")
    parser.add_argument(
        "--life", type=float, default=1.2, help="longest time in seconds before a ready service is killed"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--smoke", action="store_true", help="two kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="byline-money-kills-") as name:
        folder = Path(name)
        tiny_index(folder)
        with databases(options.database, folder) as environment, patch.dict(os.environ, environment):
            service = WarmService(folder, environment)
            try:
                desk, audit = open_books(service), Audit(open_database(read_settings()))
                done = run_kills(desk, audit, options)
                others = ask_again(service, desk)
                service.kill()
                asyncio.run(_checked(audit, [act.record for act in desk.books.acts.values()]))
            finally:
                service.close()
            return report(desk, audit, others, done)


if __name__ == "__main__":
    raise SystemExit(main())
