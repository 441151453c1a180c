"""A folder's name changes nothing: commands, Makefile and scripts where it has a space, an umlaut, and marks of URLs."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from byline.client import Client
from examples.demo import ROOT, typed
from examples.service_process import started
from tests.forks import Forks

NAME = "home of Jörg, 50% #1 a=b? [x] & 'y'"
QUERY = {"x": [1, -1, 0.5, 0, 2, -0.5]}
BUILD_FILE = """
task = "tiny_task.py:task"
recipe = { name = "ekfac", projection.size = 24 }
index = { path = "index" }
build = { block_rows = 16, batch_rows = 8, workers = 2 }
"""
STAND_IN = """#!/bin/sh
# In place of Python and docker: writes down what it is called with, and `python -m venv` makes another of it.
printf '%s\\n' "$@" >>"$CALLED"
[ "$2" != venv ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; }
"""


@pytest.fixture(scope="module")
def folder(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a Task and an index."""
    place = tmp_path_factory.mktemp("anywhere") / NAME
    place.mkdir()
    shutil.copy(ROOT / "tests/indexer/tiny_task.py", place)
    (place / "tiny.toml").write_text(BUILD_FILE)
    assert byline(forks, place, "build", place / "tiny.toml").strip() == str(version(place))
    return place


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A program that stands in for others, in a folder whose name has a space, too."""
    path = tmp_path / "bin of Jörg" / "docker"
    path.parent.mkdir()
    path.write_text(STAND_IN)
    path.chmod(stat.S_IRWXU)
    return path


def version(place: Path) -> Path:
    return place / "index" / (place / "index" / "current").read_text().strip()


def byline(forks: Forks, place: Path, *words: object) -> str:
    settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BYLINE_DATA_DIR": str(place / "data")}
    done = forks.run(["byline", *map(str, words)], place, os.environ | settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def called(command: list[str], place: Path, settings: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=place,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_index_is_read_wherever_it_lies(forks: Forks, folder: Path) -> None:
    assert "agree with their checksums" in byline(forks, folder, "verify", folder / "index")
    (folder / "queries.jsonl").write_text('{"x": [1, -1, 0.5, 0, 2, -0.5]}\n')
    asked = ["--queries", folder / "queries.jsonl", "--out", folder / "scores.npy"]
    byline(forks, folder, "scores", "index", *asked)
    assert (folder / "scores.npy").is_file()


def test_it_is_served_with_its_accounts_beside_it(folder: Path) -> None:
    data = folder / "accounts"
    with (
        started(folder / "index", folder / "service.log", data) as (address, key),
        Client(address, key) as client,
    ):
        answer = client.attribute("tiny", QUERY, k=3)
    assert len(answer.proponents) == 3
    assert answer.version == version(folder).name
    assert (data / "byline.sqlite").is_file()


def test_make_runs_in_any_folder_with_any_python(tmp_path: Path, stand_in: Path) -> None:
    checkout, log = tmp_path / NAME, tmp_path / "called"
    checkout.mkdir()
    # What `make test PYTHON=…` hands on to another make would win over the environment.
    settings = {"PYTHON": str(stand_in), "CALLED": str(log), "MAKEFLAGS": ""}
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, checkout)
    for target in re.findall(r"^make ([\w-]+) +#", (ROOT / "README.md").read_text(), re.MULTILINE):
        called(["make", target], checkout, settings)
    words = log.read_text().split("\n")
    assert words.count("venv") == 1
    assert {"examples.demo", "pytest"} <= set(words)
    assert (checkout / ".venv" / ".ready").is_file()


def test_the_scripts_of_deploy_run_in_any_folder(tmp_path: Path, stand_in: Path) -> None:
    deploy, log = tmp_path / NAME / "deploy", tmp_path / "called"
    shutil.copytree(ROOT / "deploy", deploy, ignore=shutil.ignore_patterns("secrets"))
    settings = {
        "PATH": f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}",
        "CALLED": str(log),
        "BYLINE_KEY_FILE": str(deploy / "key"),
    }
    for script in ("make-secrets", "up", "down"):
        called([str(deploy / script)], tmp_path, settings)
    assert (deploy / "secrets" / "byline_secret").is_file()
    assert (deploy / "key").is_file()
    words = log.read_text().split("\n")
    assert {"build", "up", "down"} <= set(words)
    files = [words[i + 1] for i, word in enumerate(words) if word == "-f"]
    assert set(files) == {str(deploy / "compose.yaml")}


def test_the_demo_prints_commands_that_a_shell_takes(tmp_path: Path) -> None:
    assert typed("serve", ROOT / ".demo" / "index").endswith(" serve .demo/index")
    command = typed("serve", tmp_path / "home of Jörg" / "index")
    words = subprocess.check_output(["sh", "-c", f"set -- {command}; printf '%s\n' \"$@\""], text=True)
    assert words.split("\n")[1:3] == ["serve", str(tmp_path / "home of Jörg" / "index")]
