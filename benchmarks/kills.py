"""Kills builds with SIGKILL at random moments: a resumed index must be that of an undisturbed build.

    python -m benchmarks.kills --kills 30
    python -m benchmarks.kills --smoke

A round builds an index in a fresh directory and is killed, often more than once, before it may finish.
After every kill, whatever a reader could open is opened with all its checksums. Rounds alternate between
one process and two, between killing everything and killing the parent alone (its workers must not go on
writing), and between a recipe that keeps projections and one that does not. Exit code 0 means: no
mismatch, nothing corrupt opened.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from byline.errors import UnusableIndex
from byline.store.index import AttributionIndex

ROOT = Path(__file__).resolve().parents[1]
TASK = ROOT / "tests/indexer/tiny_task.py"
RECIPES = {
    "trak": 'name = "trak"\nprojection.size = 64',
    "ekfac": 'name = "ekfac"\nprojection.size = 64\nmembers.masks = 2',
}
BUILD_FILE = """
task = "task.py:task"
[recipe]
{recipe}
[index]
path = "{index}"
[build]
block_rows = 16
batch_rows = 16
workers = {workers}
"""


@dataclass
class Report:
    """What happened."""

    kills: int = 0
    rounds: int = 0
    mismatches: int = 0
    corrupt_opened: int = 0
    opened_after_kill: int = 0
    killed_in: Counter[str] = field(default_factory=Counter)
    """Which stage's receipt was the last one."""


@dataclass(frozen=True)
class Setting:
    """One kind of round."""

    recipe: str
    workers: int
    parent_only: bool


class Rounds:
    """Rounds of killed builds in one directory of their own.

    Args:
        folder: Empty; everything is written there.
        rows: Training points.
        seed: Of the moments.
    """

    def __init__(self, folder: Path, rows: int, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)  # noqa: S311 - moments, not secrets
        (folder / "task.py").write_text(TASK.read_text().replace("ROWS = 90", f"ROWS = {rows}"))
        self._expected: dict[str, dict[str, bytes]] = {}
        self._units: dict[Setting, int] = {}
        self.report = Report()

    def run(self, setting: Setting, most_kills: int) -> None:
        """Build once, killed at least once and at most so many times."""
        self._prepare(setting)
        build_file = self._build_file(setting, "killed")
        kills = 0
        while kills < most_kills and self._killed(build_file, setting):
            kills += 1
            self._open_what_is_there()
            if self._random.random() < 0.4:
                break
        self.report.kills += kills
        self.report.rounds += 1
        finish(build_file)
        if contents(self._folder / "killed") != self._expected[setting.recipe]:
            self.report.mismatches += 1
        shutil.rmtree(self._folder / "killed")

    def _prepare(self, setting: Setting) -> None:
        """Build undisturbed, once for each kind: for the bytes, and to count its units."""
        if setting in self._units:
            return
        build_file = self._build_file(setting, "undisturbed")
        most = 0
        with start(build_file) as process:
            while process.poll() is None:
                most = max(most, receipts(self._folder / "undisturbed"))
                time.sleep(0.002)
        self._units[setting] = most
        finish(build_file)
        found = contents(self._folder / "undisturbed")
        if self._expected.setdefault(setting.recipe, found) != found:
            self.report.mismatches += 1
        shutil.rmtree(self._folder / "undisturbed")

    def _build_file(self, setting: Setting, index: str) -> Path:
        path = self._folder / f"{index}.toml"
        path.write_text(
            BUILD_FILE.format(recipe=RECIPES[setting.recipe], index=index, workers=setting.workers)
        )
        return path

    def _killed(self, build_file: Path, setting: Setting) -> bool:
        """Start a build and kill it; False where it was finished before.

        Moments are spread over the units rather than over time, most of which is imports: a random number of
        them must be finished, or (one time in four) the index must be on its way to be written.
        """
        index, total = self._folder / "killed", self._units[setting]
        writing = receipts(index) >= total or self._random.random() < 0.25
        wanted = self._random.randint(receipts(index), total)
        with start(build_file) as process:
            while not (is_writing(index) if writing else receipts(index) >= wanted):
                if process.poll() is not None:
                    return False
                time.sleep(0.002)
            time.sleep(self._random.uniform(0, 0.15 if writing else 0.03))
            if process.poll() is not None:
                return False
            if setting.parent_only:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        self.report.killed_in[last_stage(index)] += 1
        return True

    def _open_what_is_there(self) -> None:
        """Open every version that a reader would find: by the pointer, and by its name."""
        index = self._folder / "killed"
        pointed = [index] if (index / "current").exists() else []
        for place in [*pointed, *(path.parent for path in index.glob("[!.]*/manifest.json"))]:
            try:
                with AttributionIndex.open(place) as opened:
                    self.report.opened_after_kill += 1
                    intact = contents(opened.path) == self._expected_of(opened.path.name)
            except UnusableIndex:
                intact = False
            self.report.corrupt_opened += not intact

    def _expected_of(self, version: str) -> dict[str, bytes] | None:
        for each in self._expected.values():
            own = {
                name.removeprefix(f"{version}/"): data
                for name, data in each.items()
                if name.startswith(f"{version}/")
            }
            if own:
                return own
        return None


def command(build_file: Path) -> list[str]:
    return [sys.executable, "-m", "byline", "build", str(build_file)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(build_file: Path) -> "subprocess.Popen[bytes]":
    """Begin to build, in a process group of its own."""
    return subprocess.Popen(
        command(build_file),
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def receipts(index: Path) -> int:
    """Units that are finished. Folders may vanish under a walk, which `glob` does not take."""
    walked = (names for _, _, names in os.walk(index))
    return sum(name.endswith(".json") and name[:-5].isdigit() for names in walked for name in names)


def is_writing(index: Path) -> bool:
    """Whether the index itself is being written, or is there."""
    inside = list(index.iterdir()) if index.is_dir() else []
    return any((folder / part).exists() for folder in inside for part in ("version", "manifest.json"))


def finish(build_file: Path) -> None:
    """Build to the end."""
    done = subprocess.run(command(build_file), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a build that was not killed failed:\n{done.stderr}")


def contents(folder: Path) -> dict[str, bytes]:
    """Every byte that was published; what a reader's cache of digests holds is no part of it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".digests.json"
    }


def last_stage(index: Path) -> str:
    """Where a build was when it was killed."""
    if any(index.glob("*/manifest.json")):
        return "published"
    if any(index.glob(".build-*/version")):
        return "write"
    receipts = sorted(index.glob(".build-*/receipts/*/*/*.json"), key=lambda p: p.stat().st_mtime_ns)
    return receipts[-1].parent.name if receipts else "before the first unit"


def settings() -> Iterator[Setting]:
    """Alternate between all kinds of rounds.

    Yields:
        Settings, without end.
    """
    while True:
        for recipe in RECIPES:
            yield Setting(recipe, workers=1, parent_only=False)
            yield Setting(recipe, workers=2, parent_only=True)
            yield Setting(recipe, workers=2, parent_only=False)


def run_kills(kills: int, rows: int, seed: int, kinds: Iterator[Setting]) -> Report:
    """Kill this many builds.

    Args:
        kills: SIGKILLs to send.
        rows: Training points of each build.
        seed: Of the moments.
        kinds: The rounds' settings.

    Returns:
        What happened.
    """
    with tempfile.TemporaryDirectory(prefix="byline-kills-") as folder:
        rounds = Rounds(Path(folder), rows, seed)
        while rounds.report.kills < kills:
            rounds.run(next(kinds), most_kills=min(4, kills - rounds.report.kills))
            print(f"{rounds.report.kills} of {kills} kills", file=sys.stderr, flush=True)
        return rounds.report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="four kills of a tiny build")
    options = parser.parse_args()
    kills, rows = (4, 300) if options.smoke else (options.kills, options.rows)
    report = run_kills(kills, rows, options.seed, settings())
    print(json.dumps(vars(report), indent=2))
    return 1 if report.mismatches or report.corrupt_opened else 0


if __name__ == "__main__":
    raise SystemExit(main())
