"""The README's own-model section, followed by a newcomer: its files, its commands, as printed."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from byline.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
BYLINE = [sys.executable, "-m", "byline"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("newcomer")
    task = re.search(r"```python\n(# mytask\.py.*?)```", (ROOT / "docs/tasks.md").read_text(), re.DOTALL)
    toml = re.search(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert task is not None
    assert toml is not None
    (place / "mytask.py").write_text(task[1])
    (place / "mytask.toml").write_text(toml[1])
    (place / "queries.jsonl").write_text(json.dumps({"features": [0.5, -1, 0.25, 2]}) + "\n")
    return place


def commands() -> list[list[str]]:
    """The lines that begin with `byline`, and the second command that a comment names."""
    block = re.search(r"```\n(byline build.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    named = [part for line in lines for part in re.findall(r"# and: (byline .*)", line)]
    return [shlex.split(line, comments=True)[1:] for line in [*lines, *named]]


def run(folder: Path, arguments: list[str]) -> str:
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*BYLINE, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"byline {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


def test_every_command_but_serve(folder: Path) -> None:
    outputs = {arguments[0]: run(folder, arguments) for arguments in commands() if arguments[0] != "serve"}
    assert set(outputs) == {
        "build",
        "self-influence",
        "inspect",
        "verify",
        "query",
        "scores",
        "plan-ensemble",
    }
    assert np.load(folder / "scores.npy", allow_pickle=False).shape == (1, 60)


def test_a_task_that_retrains_is_measured_and_tuned(folder: Path, tmp_path: Path) -> None:
    tasks = (ROOT / "docs/tasks.md").read_text().partition("## For `byline evaluate`")[2]
    task = re.search(r"```python\n(.*?)```", tasks, re.DOTALL)
    assert task is not None
    (tmp_path / "mytask.py").write_text(task[1])
    (tmp_path / "mytask.toml").write_text((folder / "mytask.toml").read_text())
    block = re.search(r"```\n(byline evaluate.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    evaluated, tuned = (run(tmp_path, shlex.split(line)[1:]) for line in block[1].splitlines())
    assert "LDS" in evaluated
    assert "curvature.damping = " in tuned


def test_every_page_and_recipe_is_named() -> None:
    text = (ROOT / "README.md").read_text()
    pages = [f"(docs/{page.name})" for page in (ROOT / "docs").glob("*.md")]
    assert not [name for name in [*pages, *(f"`{name}`" for name in RECIPES)] if name not in text]
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert not [name for name in RECIPES if f"`{name}`" not in changes]


def test_serve_starts_and_stops(folder: Path) -> None:
    run(folder, ["build", "mytask.toml"])
    serve = next(arguments for arguments in commands() if arguments[0] == "serve")
    with subprocess.Popen(
        [*BYLINE, *serve, "--port", "0"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BYLINE_DATA_DIR": str(folder / "data")},
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
