"""Send a service everything that a stranger can, for some minutes.

    python -m tests.system.fuzz --minutes 20
    python -m tests.system.fuzz --smoke
    python -m tests.system.fuzz --postgresql

Against a real `byline serve` over a small real index: first every broken shape, then schemathesis in all its phases
with all its checks, then mutations of valid requests. No answer may be a 500 or undeclared in the OpenAPI document. The
server must live on, answer as before, and log nothing at level error.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemathesis import openapi

from byline_service.accounts.keys import parse_key
from tests.service.postgres import PostgresServer
from tests.system import quick_days
from tests.system.expectations import Expectations
from tests.system.fuzz import documented, raw, valid
from tests.system.quick_days import QUICK_DAYS
from tests.system.serving import Served, answer_without_timings, serving, tiny_index


def fuzz(served: Served, *, seconds: float, seed: int, examples: int) -> Expectations:
    """Send everything, half of the time each to schemathesis and to mutations."""
    expectations, before = Expectations(), answer_without_timings(served)
    _raw(expectations, "shapes", raw.send_shapes(served))
    _documented(expectations, served, seconds=seconds / 2, seed=seed, examples=examples)
    _raw(expectations, "mutations", raw.send_mutations(served, seed, seconds=seconds / 2))
    expectations.none("answers that changed", float(answer_without_timings(served) != before))
    return expectations


def _raw(expectations: Expectations, name: str, sent: raw.Sent) -> None:
    print(f"{name}: {sent.requests} connections, {sent.closed} closed without an answer")
    print("  answers:", ", ".join(f"{status} x {count}" for status, count in sorted(sent.statuses.items())))
    _failures(expectations, name, sent.failures)


def _documented(
    expectations: Expectations, served: Served, *, seconds: float, seed: int, examples: int
) -> None:
    headers = {"Authorization": f"Bearer {served.key}"} if served.key else {}
    values = valid.settled(served)
    configured = documented.configuration(
        examples, seed, headers=headers, values=values, max_seconds=max(1, round(seconds))
    )
    schema = openapi.from_url(
        f"http://127.0.0.1:{served.port}/openapi.json", config=configured, headers=headers
    )
    assert served.key is not None
    with documented.spared(parse_key(served.key).id, values["key_id"]):
        found = documented.run(schema)
    print(f"schemathesis: {found.sent} requests,", ", ".join(f"{n} {p}" for p, n in found.requests.items()))
    print("  answers:", ", ".join(f"{status} x {count}" for status, count in sorted(found.statuses.items())))
    _failures(expectations, "schemathesis", found.failures)


def _failures(expectations: Expectations, name: str, failures: dict[str, str]) -> None:
    for which, words in failures.items():
        print(f"  {which}: {words[:1000]}")
    expectations.none(f"failures of {name}", len(failures))


def _errors(log: Path) -> list[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [str(line) for line in lines if line["level"] in {"error", "critical"}]


@contextmanager
def database(*, wanted: bool) -> Iterator[dict[str, str]]:
    """Start a migrated PostgreSQL, if it is wanted.

    Yields:
        The settings of a service that uses it.
    """
    if not wanted:
        yield {}
        return
    server = PostgresServer()
    try:
        settings = {
            "database_url": server.url(server.fresh()),
            "secret": "of this run alone, thirty-two or more",
        }
        environment = os.environ | {f"BYLINE_{name.upper()}": value for name, value in settings.items()}
        subprocess.run([sys.executable, "-m", "byline", "migrate"], check=True, env=environment)
        yield settings
    finally:
        server.remove()


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--postgresql", action="store_true", help="keep the accounts in PostgreSQL")
    parser.add_argument("--smoke", action="store_true", help="some seconds of each")
    given = parser.parse_args()
    seconds = 6.0 if given.smoke else 60 * given.minutes
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as made, database(wanted=given.postgresql) as settings:
        folder = Path(made)
        os.environ[QUICK_DAYS] = str(time.time())  # runs of finished days can be drafted
        with serving(tiny_index(folder), folder, module=quick_days.__name__, **settings) as served:
            expectations = fuzz(served, seconds=seconds, seed=given.seed, examples=5 if given.smoke else 100)
            expectations.none("the server ended by itself", float(served.process.poll() is not None))
        expectations.none("exit code after SIGTERM", abs(served.process.returncode))
        errors = _errors(served.log)
        print("\n".join(errors[:5]))
        expectations.none("lines logged at level error", len(errors))
    return expectations.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
