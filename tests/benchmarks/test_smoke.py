"""Every benchmark and every system test has a command; each runs in its smallest form and prints something."""

import ast
import os
import re
from pathlib import Path

import pytest

from tests.forks import Forks

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "benchmarks.accuracy.curve",
    "benchmarks.accuracy.diffusion",
    "benchmarks.accuracy.digits",
    "benchmarks.accuracy.ensembles",
    "benchmarks.accuracy.finetuning",
    "benchmarks.accuracy.groups",
    "benchmarks.accuracy.optimism",
    "benchmarks.accuracy.recorded",
    "benchmarks.accuracy.refined",
    "benchmarks.accuracy.selection",
    "benchmarks.accuracy.sotu",
    "benchmarks.accuracy.tokens",
    "benchmarks.accuracy.tuning",
    "benchmarks.gpu",
    "benchmarks.peers",
    "benchmarks.peers.folder_quickstarts",
    "benchmarks.peers.quickstarts",
    "benchmarks.service.load",
    "benchmarks.service.switches",
    "benchmarks.speed.build_time",
    "benchmarks.speed.cold_query",
    "benchmarks.speed.http_overhead",
    "benchmarks.speed.language_model",
    "benchmarks.speed.memory",
    "benchmarks.speed.scan_memory",
    "benchmarks.speed.search",
    "tests.system.drawn_models",
    "tests.system.fuzz",
    "tests.system.kills",
    "tests.system.model_table",
    "tests.system.money_kills",
    "tests.system.random_models",
    "tests.system.service_kills",
]
DOWNLOADS = ["benchmarks.accuracy.pca_sizes"]
"""Commands whose smallest form needs the network."""
MORE = [
    "benchmarks.accuracy.finetuning --case images",
    "benchmarks.accuracy.ensembles --rates",
    "benchmarks.accuracy.ensembles --sizes",
    "benchmarks.speed.language_model --memory",
]
ELSEWHERE = {"tests.system.drawn_models"}
"""Commands whose smallest form a test of their own runs: tests/byline/gradients/test_drawn_models.py."""
NAMED = re.compile(r"-m ((?:benchmarks|tests\.system)[\w.]*)")


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in (*COMMANDS, *MORE) if name not in ELSEWHERE])
def test_runs(command: str, forks: Forks) -> None:
    done = forks.run([*command.split(), "--smoke"], ROOT, os.environ, seconds=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_every_benchmark_has_a_make_target() -> None:
    assert set(NAMED.findall((ROOT / "Makefile").read_text())) == {*COMMANDS, *DOWNLOADS}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_documented_commands_are_benchmarks(page: Path) -> None:
    assert set(NAMED.findall(page.read_text())) <= {*COMMANDS, *DOWNLOADS}


def test_benchmarks_and_tests_do_not_import_each_other() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        assert "tests" not in imports(path), path
    for path in (ROOT / "tests").rglob("*.py"):
        if path.parent != Path(__file__).parent:  # the tests of the benchmarks themselves
            assert "benchmarks" not in imports(path), path


def imports(path: Path) -> set[str]:
    """The packages that a module imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}
