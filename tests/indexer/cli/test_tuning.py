"""The command as people type it: what it prints, and what it refuses."""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from byline.__main__ import main

SOURCE = Path(__file__).parents[1] / "evaluation" / "trainable_task.py"
BUILD_FILE = """
task = "trainable_task.py:task"

[recipe]
name = "if_exact"
curvature.damping = 0.05

[index]
path = "index"
"""
SMALL = ["--row", "ekfac", "--size", 8, "--checkpoints", "all", "--masks", "none", "--damping", 0.1]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command on a build file; gives exit code, output and errors."""
    shutil.copy(SOURCE, tmp_path / SOURCE.name)
    (tmp_path / "build.toml").write_text(BUILD_FILE)

    def call(*arguments: object) -> tuple[int, str, str]:
        given = ["tune", tmp_path / "build.toml", "--out", tmp_path / "out", "--subsets", 8, "--tuning", 4]
        with pytest.raises(SystemExit) as end:
            main([*map(str, given), *map(str, arguments)])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


def test_it_prints_settings_verdicts_and_lines_to_use(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(*SMALL, "--weight", 0)
    assert code == 0
    assert "bytes a row" in out
    assert "BM25" in out
    assert "representation similarity" in out.lower()
    lines = out[out.index("[recipe]") :].split("\n\n")[0]
    assert tomllib.loads(lines)["recipe"]["name"] in {"ekfac", "if_exact"}
    assert str(tmp_path / "out" / "tuning.json") in out.replace("\n", "")
    assert not (tmp_path / "index").exists(), "the build file's index stays as it is"


def test_a_budget_that_nothing_fits_is_said(run: Run) -> None:
    code, out, _ = run(*SMALL, "--weight", 0, "--bytes", 1)
    assert code == 0
    assert "No setting is within the budget" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--damping", -1], "dampings"),
        (["--size", 8, "--row", "if_exact"], "--size"),
        (["--damping", 1, "--row", "grad_dot"], "--damping"),
        (["--row", "nothing"], "--row"),
        (["--signal", "nothing"], "expected one of the targets"),
        (["--checkpoints", "7"], "positions below 1"),
        (["--masks", "5:2"], "masks"),
        (["--size", ":"], "sizes"),
        (["--milliseconds", 0], "milliseconds"),
        (["--weight", -1], "weights"),
    ],
)
def test_options_that_do_not_fit_are_one_line(run: Run, options: list[object], says: str) -> None:
    code, _, error = run(*options)
    assert code == 2
    assert says in " ".join(error.split())
    assert "Traceback" not in error
