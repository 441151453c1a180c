"""Switch an alias a thousand times under load: no request may fail, and each answer must be of one version.

    python -m benchmarks.service.switches                        # 1,000 switches
    python -m benchmarks.service.switches --smoke                # 20

Builds two versions of a tiny index, starts `byline serve`, and has clients ask over real HTTP at a steady rate: first
undisturbed, then while another client switches from one version to the other and back as fast as each switch is
answered. A switch opens the other version anew every time: files checked, Task and models loaded, a first question.

Every answer must equal its version's offline answer: the same training points with the same scores. After
each switch, the next question must be answered by the new version. Exit code 1: a figure is out of its bound.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from benchmarks.report import Targets
from benchmarks.service.cases import Case
from benchmarks.service.serving import PATIENCE, Server, serving
from benchmarks.tasks.tiny import build_tiny

QUERIES = [{"features": [0.5 - n / 7, -1.0, 0.25 * n, 2.0, 0.0, 1.0], "label": str(n % 3)} for n in range(12)]
K = 8
TOLERANCE = 1e-5
"""Relative tolerance: the last bits of a score depend on the other queries of its batch."""


def two_versions(folder: Path) -> tuple[Path, list[str]]:
    """Build two versions of the tiny Task.

    Returns:
        The index directory, and the versions' names.
    """
    from byline.index.publishing import current_version

    index, names = folder / "index", []
    for size in (24, 16):
        build_tiny(folder, size)
        names.append(current_version(index))
    return index, names


Scores = dict[str, float]
"""Id of a training point -> its score."""


def offline(index: Path, versions: list[str]) -> dict[str, list[Scores]]:
    """Compute each version's answer to each query, without the service."""
    from byline.attribution.attributor import Attributor
    from byline.attribution.request import AttributionRequest

    found = {}
    for version in versions:
        attributor = Attributor.open(index / version)
        answers = [attributor.attribute(AttributionRequest(query=query, k=K)) for query in QUERIES]
        found[version] = [scores_of(json.loads(answer.model_dump_json())) for answer in answers]
    return found


def scores_of(answer: Mapping[str, Any]) -> Scores:
    """Read the training points of an answer, with their scores."""
    return {each["example"]["id"]: each["score"] for each in answer["proponents"]}


def same(found: Scores, expected: Scores) -> bool:
    """Compare two answers up to the last bits."""
    largest = max(abs(score) for score in expected.values())
    return found.keys() == expected.keys() and all(
        abs(found[name] - score) <= TOLERANCE * largest for name, score in expected.items()
    )


def resident(server: Server) -> int:
    """Read a server's resident memory in bytes."""
    fields = Path(f"/proc/{server.process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Phase:
    """Answers of one phase, over all clients."""

    milliseconds: list[float] = field(default_factory=list)
    by_version: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: int = 0

    def percentile(self, share: float) -> float:
        """Compute a percentile of the latencies, in milliseconds."""
        ordered = sorted(self.milliseconds)
        return ordered[int(share * (len(ordered) - 1))]


class Client(threading.Thread):
    """A client that sends queries at a steady rate until it is stopped."""

    def __init__(
        self, server: Server, truth: dict[str, list[Scores]], phase: Phase, pace: tuple[float, float]
    ) -> None:
        super().__init__(daemon=True)
        self._server, self._truth, self._phase = server, truth, phase
        self._wait, self._interval = pace
        self.stopping = threading.Event()

    def run(self) -> None:
        """Send queries until it is stopped."""
        connection = self._server.connect()
        due, number = time.perf_counter() + self._wait, int(self._wait * 1e6)
        while not self.stopping.is_set():
            time.sleep(max(0.0, due - time.perf_counter()))
            # From when it was due, not from when it was sent: a stall counts for everyone who waits behind it.
            self._ask(connection, number % len(QUERIES), due)
            number += 1
            due = max(due + self._interval, time.perf_counter() - 1.0)
        connection.close()

    def _ask(self, connection: HTTPConnection, query: int, due: float) -> None:
        body = {"query": QUERIES[query], "k": K}
        try:
            status, answer = self._server.call(connection, "POST", "/v1/indexes/bench/attributions", body)
        except (OSError, HTTPException, ValueError) as error:
            self._phase.errors[type(error).__name__] += 1
            connection.close()
            return
        self._phase.milliseconds.append((time.perf_counter() - due) * 1e3)
        if status != 200:
            self._phase.errors[str(status)] += 1
            return
        version = answer["version"]
        self._phase.by_version[version] += 1
        if version not in self._truth or not same(scores_of(answer), self._truth[version][query]):
            self._phase.wrong += 1


def under_load(
    server: Server, truth: dict[str, list[Scores]], load: tuple[int, float], work: Callable[[], None]
) -> Phase:
    """Run work under load.

    Args:
        server: Whom they ask.
        truth: What each version answers.
        load: Clients, and questions a second over all of them.
        work: What is done meanwhile.
    """
    clients, rate = load
    phase = Phase()
    interval = clients / rate
    threads = [Client(server, truth, phase, (n * interval / clients, interval)) for n in range(clients)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.stopping.set()
    for thread in threads:
        thread.join(60)
    return phase


@dataclass
class Switching:
    """A client that switches from one version to the other and back."""

    server: Server
    versions: list[str]
    count: int
    milliseconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    late: int = 0
    """Switches after which the old version still answered."""

    def run(self) -> None:
        """Switch a number of times.

        Raises:
            SystemExit: A switch failed.
        """
        connection = self.server.connect()
        _, alias = self.server.call(connection, "GET", "/v1/aliases/bench")
        now = alias["version"]
        for _ in range(self.count):
            then = next(version for version in self.versions if version != now)
            begun = time.perf_counter()
            body = {"index": "bench", "version": then, "expected": now}
            status, answer = self.server.call(connection, "PUT", "/v1/aliases/bench", body)
            self.milliseconds.append((time.perf_counter() - begun) * 1e3)
            if status != 200:
                raise SystemExit(f"a switch was answered {status}: {answer}")
            _, answer = self.server.call(
                connection, "POST", "/v1/indexes/bench/attributions", {"query": QUERIES[0]}
            )
            self.late += answer.get("version") != then
            self.resident.append(resident(self.server))
            now = then


def verified(server: Server, versions: list[str]) -> None:
    """Register and verify versions that are not served yet."""
    connection = server.connect()
    for version in versions:
        server.call(connection, "POST", "/v1/indexes/bench/versions", {"version": version})
        path = f"/v1/indexes/bench/versions/{version}"
        server.call(connection, "POST", f"{path}/verify")
        end = time.monotonic() + PATIENCE
        while (found := server.call(connection, "GET", path)[1])["verifying"] is not None:
            if time.monotonic() > end:
                raise SystemExit("a version was not verified in time")
            time.sleep(0.05)
        if found["state"] != "verified":
            raise SystemExit(f"a version is {found['state']}: {found['reason']}")


def measure(folder: Path, switches: int, load: tuple[int, float], seconds: float) -> dict[str, Any]:
    """Measure both phases."""
    index, versions = two_versions(folder)
    truth = offline(index, versions)
    with serving(Case("bench", index, QUERIES), log_level="error") as server:
        verified(server, versions)
        Switching(server, versions, min(switches, 20)).run()  # warms up
        under_load(server, truth, load, lambda: time.sleep(1))
        quiet = under_load(server, truth, load, lambda: time.sleep(seconds))
        switching = Switching(server, versions, switches)
        busy = under_load(server, truth, load, switching.run)
        _, history = server.call(server.connect(), "GET", "/v1/aliases/bench/history?limit=1")
    tenth = max(1, len(switching.resident) // 10)
    return {
        "switches": len(switching.milliseconds),
        "switch_p50_ms": statistics.median(switching.milliseconds),
        "switch_p99_ms": sorted(switching.milliseconds)[int(0.99 * (switches - 1))],
        "late": switching.late,
        "revision": history["data"][0]["revision"],
        "memory_growth": statistics.median(switching.resident[-tenth:])
        / statistics.median(switching.resident[tenth : 2 * tenth] or switching.resident),
        **_figures("quiet", quiet),
        **_figures("switching", busy),
        "shares": [busy.by_version[version] / max(1, sum(busy.by_version.values())) for version in versions],
    }


def _figures(name: str, phase: Phase) -> dict[str, Any]:
    return {
        f"{name}_answers": len(phase.milliseconds),
        f"{name}_errors": dict(phase.errors),
        f"{name}_wrong": phase.wrong,
        f"{name}_p50_ms": phase.percentile(0.5),
        f"{name}_p90_ms": phase.percentile(0.9),
        f"{name}_p99_ms": phase.percentile(0.99),
        f"{name}_max_ms": max(phase.milliseconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--switches", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40.0, help="questions a second over all clients")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the undisturbed phase")
    parser.add_argument("--smoke", action="store_true", help="20 switches, 2 undisturbed seconds")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    switches, seconds = (20, 2.0) if arguments.smoke else (arguments.switches, arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), switches, (arguments.clients, arguments.rate), seconds)
    for name, value in figures.items():
        print(f"{name:24} {value:10.2f}" if isinstance(value, float) else f"{name:24} {value}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")
    targets = Targets()
    errors = sum(figures["quiet_errors"].values()) + sum(figures["switching_errors"].values())
    targets.at_most("requests that failed", errors, 0)
    targets.at_most("answers that no version gives", figures["quiet_wrong"] + figures["switching_wrong"], 0)
    targets.at_most("switches after which the old version answered", figures["late"], 0)
    if not arguments.smoke:
        targets.at_most("memory at the end, of that near the beginning", figures["memory_growth"], 1.1)
        targets.at_least("least share of the answers that a version gave", min(figures["shares"]), 0.1)
    raise SystemExit(targets.exit_code())


if __name__ == "__main__":
    main()
