"""Every benchmark of docs/benchmarks.md runs, in its smallest form, and prints a table."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = [
    "digits",
    "build_time",
    "memory",
    "search",
    "scan_memory",
    "http_overhead",
    "service_load",
    "service_switches",
    "kills",
    "service_kills",
    "ensembles",
    "optimism",
    "recorded",
    "sotu",
    "peers",
    "groups",
    "fuzz",
    "random_models",
    "model_table",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BENCHMARKS, "ensembles --rates", "ensembles --sizes"])
def test_runs(name: str) -> None:
    module, *options = name.split()
    command = [sys.executable, "-m", f"benchmarks.{module}", *options, "--smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_every_benchmark_has_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"-m benchmarks.{name}" in makefile for name in BENCHMARKS)
