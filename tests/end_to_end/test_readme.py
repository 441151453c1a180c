"""The README and docs/getting-started.md, followed by a newcomer: their files, their commands, as printed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from byline.recipes import RECIPES
from examples.service_process import started
from examples.smollm2.documents import Sizes, write_documents
from examples.smollm2.drawn import drawn
from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[2]
BYLINE = [sys.executable, "-m", "byline"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTED = (ROOT / "docs/getting-started.md").read_text(encoding="utf-8")
PATHS = os.pathsep.join(str(ROOT / name) for name in ("", "indexer", "service"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("newcomer")
    task = re.search(r"```python\n(# mytask\.py.*?)```", STARTED, re.DOTALL)
    toml = re.search(r"```toml\n(.*?)```", STARTED, re.DOTALL)
    assert task is not None
    assert toml is not None
    (place / "mytask.py").write_text(task[1])
    (place / "mytask.toml").write_text(toml[1])
    (place / "queries.jsonl").write_text(json.dumps({"features": [0.5, -1, 0.25, 2]}) + "\n")
    (place / "new.jsonl").write_text(json.dumps({"features": [1, -1, 0, 2], "label": "plus"}) + "\n")
    return place


def commands() -> list[list[str]]:
    """The lines that begin with `byline`, and the second command that a comment names."""
    block = re.search(r"```\n(byline build.*?)```", STARTED, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    named = [part for line in lines for part in re.findall(r"# and: (byline .*)", line)]
    return [shlex.split(line, comments=True)[1:] for line in [*lines, *named]]


Run = Callable[[Path, list[str]], str]


@pytest.fixture
def run(forks: Forks) -> Run:
    """Runs a command in a folder; gives what it prints."""

    def call(folder: Path, arguments: list[str]) -> str:
        env = {"PYTHONPATH": PATHS, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        done = forks.run(["byline", *arguments], folder, env)
        assert done.returncode == 0, f"byline {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    return call


def test_every_command_but_serve(run: Run, folder: Path) -> None:
    outputs = {arguments[0]: run(folder, arguments) for arguments in commands() if arguments[0] != "serve"}
    assert set(outputs) == {
        "build",
        "self-influence",
        "inspect",
        "verify",
        "query",
        "scores",
        "score-candidates",
        "plan-ensemble",
    }
    assert np.load(folder / "scores.npy", allow_pickle=False).shape == (1, 60)


def test_a_task_that_retrains_is_measured_and_tuned(run: Run, folder: Path, tmp_path: Path) -> None:
    tasks = (ROOT / "docs/tasks.md").read_text().partition("## For `byline evaluate`")[2]
    task = re.search(r"```python\n(.*?)```", tasks, re.DOTALL)
    assert task is not None
    (tmp_path / "mytask.py").write_text(task[1])
    (tmp_path / "mytask.toml").write_text((folder / "mytask.toml").read_text())
    block = re.search(r"```\n(byline evaluate.*?)```", STARTED, re.DOTALL)
    assert block is not None
    evaluated, tuned = (run(tmp_path, shlex.split(line)[1:]) for line in block[1].splitlines())
    assert "LDS" in evaluated
    assert "curvature.damping = " in tuned


def test_the_python_of_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    said = re.search(r"```\n(row .*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    assert said is not None
    (tmp_path / "quickstart.py").write_text("".join(blocks))
    env = {"PYTHONPATH": PATHS, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "quickstart.py"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, written = done.stdout.splitlines(), said[1].splitlines()
    assert [line.split(":")[0] for line in printed[:6]] == [line.split(":")[0] for line in written[:6]]
    assert set(json.loads(printed[6].replace(" ", ","))) == {0, 1, 2}
    assert len(blocks[1].splitlines()) <= 10


def test_the_curl_of_the_readme_is_answered(run: Run, folder: Path, tmp_path: Path) -> None:
    """The same address, headers and body, sent by the client of Python's library."""
    block = re.search(r"```\nbyline build.*?(curl .*?)```", README, re.DOTALL)
    assert block is not None
    words = shlex.split(block[1].replace("\\\n", " "))
    body = words[words.index("-d") + 1]
    run(folder, ["build", "mytask.toml"])
    with started(folder / "index", tmp_path / "service.log", tmp_path / "data") as (address, key):
        request = urllib.request.Request(  # noqa: S310 - this machine
            words[1].replace("http://127.0.0.1:8000", address),
            data=body.encode(),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            answer = json.load(response)
    assert len(answer["proponents"]) == 3


def test_every_page_is_named() -> None:
    pages = [f"(docs/{page.name})" for page in (ROOT / "docs").glob("*.*")]
    assert not [name for name in pages if name not in README]


def test_every_recipe_is_named() -> None:
    methods, changes = ((ROOT / name).read_text() for name in ("docs/methods.md", "CHANGELOG.md"))
    assert not [name for name in RECIPES if f"`{name}`" not in methods or f"`{name}`" not in changes]


def test_serve_starts_and_stops(run: Run, folder: Path) -> None:
    run(folder, ["build", "mytask.toml"])
    serve = next(arguments for arguments in commands() if arguments[0] == "serve")
    with subprocess.Popen(
        [*BYLINE, *serve, "--port", "0"],
        cwd=folder,
        env={"PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1", "BYLINE_DATA_DIR": str(folder / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "http://127.0.0.1:" in line:
                break
        process.send_signal(signal.SIGTERM)
        said += process.stdout.read()
        assert process.wait(timeout=30) == 0, said


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("chat")
    write_documents(place / "chats.jsonl", Sizes(packages=6, characters=200))
    (place / "runs").mkdir()
    drawn(place / "runs/chat", place / "chats.jsonl")
    return place


LANGUAGE_MODEL = README.partition("## A Hugging Face language model")[2].partition("\n## ")[0]


def test_a_language_model_by_commands(run: Run, chat_folder: Path) -> None:
    lines = [line for line in LANGUAGE_MODEL.splitlines() if line.startswith("byline ")]
    outputs = [run(chat_folder, shlex.split(line, comments=True)[1:]) for line in lines]
    assert len(outputs) == 2
    assert "proponents" in outputs[1]


def test_a_language_model_in_python(chat_folder: Path) -> None:
    program = re.search(r"```\n(import byline.*?)```", LANGUAGE_MODEL, re.DOTALL)
    assert program is not None
    env = {"PYTHONPATH": PATHS, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program[1]],
        cwd=chat_folder, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "proponents" in done.stdout
