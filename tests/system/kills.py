"""Kill builds with SIGKILL at random moments: a resumed index must equal that of an undisturbed build.

    python -m tests.system.kills --kills 30
    python -m tests.system.kills --smoke

A round builds an index in a fresh directory and is killed, often more than once, before it may finish.
After every kill, every version that a reader could open is opened with all its checksums. Rounds alternate between
one process and two, between killing everything and killing the parent alone (its workers must not go on
writing), between a recipe that keeps projections and one that does not, between exact and compressed search,
and between a first build and `--force` over a version that was damaged. Exit code 0 means: no mismatch, nothing
corrupt opened and, but for `--smoke`, something opened after a kill.
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
from itertools import cycle
from pathlib import Path

from byline.errors import UnusableIndex
from byline.index.durable import TEMPORARY
from byline.index.index import AttributionIndex
from byline.index.layout import DIGEST_CACHE
from tests.system.serving import SOURCES, TINY

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
search = "{search}"
[build]
block_rows = 16
batch_rows = 16
workers = {workers}
"""


@dataclass
class Report:
    """Counts of a run."""

    kills: int = 0
    rounds: int = 0
    mismatches: int = 0
    corrupt_opened: int = 0
    opened_after_kill: int = 0
    refused_after_kill: int = 0
    """Versions that were refused: right in a round with `--force`, corrupt in any other."""
    killed_in: Counter[str] = field(default_factory=Counter)
    """Kills by the stage of the last receipt."""

    def passed(self, *, smoke: bool) -> bool:
        """Tell whether nothing went wrong; a run that opened nothing after a kill has shown nothing."""
        return not self.mismatches and not self.corrupt_opened and (smoke or self.opened_after_kill > 0)


@dataclass(frozen=True)
class Setting:
    """One kind of round."""

    recipe: str
    workers: int = 1
    parent_only: bool = False
    search: str = "exact"
    forced: bool = False
    """Whether the builds that are killed replace a damaged version."""


SETTINGS = (
    Setting("trak"),
    Setting("trak", workers=2, parent_only=True),
    Setting("ekfac", workers=2),
    Setting("ekfac", search="compressed"),
    Setting("trak", forced=True),
    Setting("ekfac"),
    Setting("ekfac", workers=2, parent_only=True),
    Setting("trak", workers=2),
    Setting("trak", workers=2, search="compressed", forced=True),
)


class Rounds:
    """Rounds of killed builds in one directory of their own.

    Args:
        folder: Empty; everything is written there.
        rows: Training points.
        seed: Of the moments.
    """

    def __init__(self, folder: Path, rows: int, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        (folder / "task.py").write_text(TINY.read_text().replace("ROWS = 90", f"ROWS = {rows}"))
        self._expected: dict[tuple[str, str], dict[str, bytes]] = {}
        self._units: dict[Setting, int] = {}
        self.report = Report()

    def run(self, setting: Setting, most_kills: int) -> None:
        """Build once, with one kill or more, up to a limit."""
        self._prepare(setting)
        build_file = self._build_file(setting, "killed")
        if setting.forced:
            finish(command(build_file))
            damage(self._folder / "killed")
        kills = 0
        while kills < most_kills and self._killed(command(build_file, force=setting.forced), setting):
            kills += 1
            self._open_what_is_there(setting)
            if self._random.random() < 0.4:
                break
        self.report.kills += kills
        self.report.rounds += 1
        finish(command(build_file, force=setting.forced))
        if contents(self._folder / "killed") != self._expected[setting.recipe, setting.search]:
            self.report.mismatches += 1
        shutil.rmtree(self._folder / "killed")

    def _prepare(self, setting: Setting) -> None:
        """Build undisturbed, once for each kind, for the bytes and the number of units."""
        if setting in self._units:
            return
        build_file = self._build_file(setting, "undisturbed")
        most = 0
        with start(command(build_file)) as process:
            while process.poll() is None:
                most = max(most, receipts(self._folder / "undisturbed"))
                time.sleep(0.002)
        self._units[setting] = most
        finish(command(build_file))
        found = contents(self._folder / "undisturbed")
        if self._expected.setdefault((setting.recipe, setting.search), found) != found:
            self.report.mismatches += 1
        shutil.rmtree(self._folder / "undisturbed")

    def _build_file(self, setting: Setting, index: str) -> Path:
        path = self._folder / f"{index}.toml"
        recipe, search = RECIPES[setting.recipe], setting.search
        path.write_text(BUILD_FILE.format(recipe=recipe, index=index, search=search, workers=setting.workers))
        return path

    def _killed(self, build: list[str], setting: Setting) -> bool:
        """Start a build and kill it; return False if it finished first.

        Moments are spread over the units rather than over time, most of which is imports: a random number of
        them must be finished, or (one time in four) the index must be on its way to be written, or published.
        """
        index, total = self._folder / "killed", self._units[setting]
        late = receipts(index) >= total or self._random.random() < 0.25
        published = late and not setting.forced and self._random.random() < 0.4
        wanted = self._random.randint(receipts(index), total)

        def reached() -> bool:
            if published:
                return is_published(index)
            return is_writing(index) if late else receipts(index) >= wanted

        with start(build) as process:
            while not reached():
                if process.poll() is not None:
                    return False
                time.sleep(0.002)
            time.sleep(self._random.uniform(0, 0.15 if late and not published else 0.03))
            if process.poll() is not None:
                return False
            if setting.parent_only:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        stage = last_stage(index, forced=setting.forced)
        self.report.killed_in[f"{stage} (forced)" if setting.forced else stage] += 1
        return True

    def _open_what_is_there(self, setting: Setting) -> None:
        """Open every version that a reader would find, by the pointer and by its name."""
        index = self._folder / "killed"
        pointed = [index] if (index / "current").exists() else []
        for place in [*pointed, *(path.parent for path in index.glob("[!.]*/manifest.json"))]:
            try:
                with AttributionIndex.open(place) as opened:
                    self.report.opened_after_kill += 1
                    intact = contents(opened.path) == self._expected_of(opened.path.name)
            except UnusableIndex:
                self.report.refused_after_kill += 1
                intact = setting.forced
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


def command(build_file: Path, *, force: bool = False) -> list[str]:
    return [sys.executable, "-m", "byline", "build", str(build_file), *(["--force"] if force else [])]


def damage(index: Path) -> None:
    """Change a byte of the published version."""
    path = next(index.glob("[!.]*/search.faiss"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1"}


def start(build: list[str]) -> "subprocess.Popen[bytes]":
    """Start a build in a process group of its own."""
    return subprocess.Popen(
        build,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def receipts(index: Path) -> int:
    """Count finished units. Folders may vanish during the walk, where `glob` would raise."""
    walked = (names for _, _, names in os.walk(index))
    return sum(name.endswith(".json") and name[:-5].isdigit() for names in walked for name in names)


def is_writing(index: Path) -> bool:
    """Tell whether the index itself is being written."""
    return any(index.glob(".build-*/version"))


def is_published(index: Path) -> bool:
    """Tell whether a version is published."""
    return any(index.glob("[!.]*/manifest.json"))


def finish(build: list[str]) -> None:
    """Build to the end."""
    done = subprocess.run(build, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a build that was not killed failed:\n{done.stderr}")


def contents(folder: Path) -> dict[str, bytes]:
    """Read every byte that was published.

    A reader's cache of digests is not part of it. Neither are remains of it or of the pointer after a kill: a small
    file under a temporary name beside the versions, which nobody reads and a later build sweeps.
    """
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != DIGEST_CACHE and not is_abandoned(path, folder)
    }


def is_abandoned(path: Path, folder: Path) -> bool:
    return path.parent == folder and path.name.startswith(TEMPORARY)


def last_stage(index: Path, *, forced: bool) -> str:
    """Name the stage of a killed build; a forced one looks the same before and after publishing."""
    if is_writing(index):
        return "write"
    units = sorted(index.glob(".build-*/receipts/*/*/*.json"), key=lambda path: path.stat().st_mtime_ns)
    if is_published(index) and not forced:
        return "published"
    return units[-1].parent.name if units else "before the first unit"


def run_kills(kills: int, rows: int, seed: int, kinds: Iterator[Setting]) -> Report:
    """Kill a number of builds.

    Args:
        kills: SIGKILLs to send.
        rows: Training points of each build.
        seed: Of the moments.
        kinds: The rounds' settings.

    Returns:
        The counts.
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
    report = run_kills(kills, rows, options.seed, cycle(SETTINGS))
    print(json.dumps(vars(report), indent=2))
    return 0 if report.passed(smoke=options.smoke) else 1


if __name__ == "__main__":
    raise SystemExit(main())
