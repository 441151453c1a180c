"""`byline score-candidates` as it is documented in docs/selection.md."""

import csv
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import byline
from tests.forks import Forks
from tests.indexer import tiny_task
from tests.indexer.test_candidates import MEMBERS, payloads, write

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/selection.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(byline score-candidates .*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selection")
    (folder / "task.py").write_text(Path(tiny_task.__file__).read_text())
    chosen = byline.recipe("ekfac", **MEMBERS)
    byline.build(f"{folder / 'task.py'}:trained_task", chosen, folder / "index", progress=False)
    write(folder / "new.jsonl", payloads(range(6), owner="ada"))
    write(folder / "wanted.jsonl", payloads(range(50, 53)))
    return folder


def run(forks: Forks, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forks.run(["byline", *words], folder, {**os.environ, "COLUMNS": "140"})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_commands(forks: Forks, folder: Path, command: str) -> None:
    words = [word.replace("ada", "owner-1") for word in shlex.split(command.partition("#")[0])[1:]]
    done = run(forks, folder, *words)
    assert done.returncode == 0, done.stderr
    if "--json" in words:
        assert json.loads(done.stdout)["candidates"]
    else:
        assert "6 candidates" in done.stdout
    if "--out" in words:
        with (folder / "ranking.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == 7


def test_a_wrong_line_ends_in_one_line(forks: Forks, folder: Path) -> None:
    write(folder / "bad.jsonl", [*payloads(range(2)), {"x": [0.0] * 6}])
    done = run(forks, folder, "score-candidates", "index", "--data", "bad.jsonl")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: bad.jsonl, line 3: expected a complete candidate")


def test_there_are_documented_commands() -> None:
    assert len(COMMANDS) >= 3
