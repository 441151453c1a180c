"""Other libraries on the same model, data and truth: LDS, agreement of the scores, seconds.

    python -m benchmarks.peers            # about 15 minutes on one core; the first run installs 1.8 GB in .bench/peers
    python -m benchmarks.peers --smoke    # seconds: no library is installed, the formulas stand in for them
    python -m benchmarks.peers --only "dattri trak" "kronfluence ekfac"

The network of `benchmarks.accuracy.digits`, its first model, its 100 reported queries and its truth. Each method runs in a
process of its own, in an environment of its own with pinned versions, on one thread. The formula is computed
without projection or truncation in float64 (dense.py, hessian.py). Agreement is Pearson's correlation over the
training points, averaged over queries; the difference is the largest one over the largest score, after one factor
for all scores. Seconds are of the CPU, imports apart, to prepare and for all queries.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.peers.comparison import HERE, Bench
from benchmarks.peers.digits_problem import digits_problem
from benchmarks.peers.language_model import speeches_problem
from benchmarks.peers.methods import Method, methods
from benchmarks.tasks import CACHE
from benchmarks.tasks.digits import FULL, SMOKE
from benchmarks.tasks.sotu.model import FULL as SPEECHES
from benchmarks.tasks.sotu.task import truth_of

ENVIRONMENT = CACHE / "peers"
SMOKE_ROWS = ["dattri grad_dot", "kronfluence ekfac, given labels", "dattri rps, against ours"]
COLUMNS = (
    "library, method", "its LDS", "ours", "formula's", "it ~ formula", "difference", "ours ~ formula",
    "difference, unprojected", "it ~ ours", "its seconds", "our seconds",
)  # fmt: skip


def main() -> None:
    """Run every method and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run without the libraries")
    parser.add_argument("--only", nargs="*", help="beginnings of the first column")
    options = parser.parse_args()
    torch.set_num_threads(1)
    python = None if options.smoke else environment()
    if options.smoke:
        options.only = SMOKE_ROWS
    with tempfile.TemporaryDirectory() as folder:
        problem, dense = digits_problem(SMOKE if options.smoke else FULL, Path(folder))
        report("digits", Bench(problem), wanted(methods(dense), options.only), python)
    if options.smoke:
        return
    if not truth_of(SPEECHES).exists():
        print("the language model is left out: its truth is made by `make bench-sotu`")
        return
    with tempfile.TemporaryDirectory() as folder:
        problem, asked = speeches_problem(Path(folder))
        report("State of the Union, layers' weights", Bench(problem), wanted(asked, options.only), python)


def wanted(asked: Sequence[Method], only: Sequence[str] | None) -> list[Method]:
    """Select methods by the beginnings of their names."""
    return [method for method in asked if not only or method.name.startswith(tuple(only))]


def report(title: str, bench: Bench, asked: Sequence[Method], python: Path | None) -> None:
    """Run methods and print the table."""
    table = Table(*COLUMNS, title=f"{title}, 1 checkpoint")
    for method in asked:
        cells = bench.compare(method, python)
        print(method.name, *cells, sep=" | ", flush=True)
        table.add_row(method.name, *cells)
    Console(width=200).print(table)


def environment() -> Path:
    """Make the peers' environment, anew where the pins have changed.

    torch's companions come along with bergson and are removed: their CPU builds would not fit the pinned torch.
    """
    pins, constraints = HERE / "requirements.txt", HERE.parents[1] / "constraints.txt"
    python, made = ENVIRONMENT / "venv/bin/python", ENVIRONMENT / "made-from.txt"
    wanted = pins.read_text() + constraints.read_text()
    if not made.exists() or made.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT / "venv"], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "-c", constraints, "-r", pins], check=True)
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "torchvision", "torchaudio"], check=True)
        made.write_text(wanted)
    return python


if __name__ == "__main__":
    main()
