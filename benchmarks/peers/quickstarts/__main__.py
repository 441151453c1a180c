"""Quick starts side by side: lines, imports and seconds to score 1,000 digits for 100 queries.

    python -m benchmarks.peers.quickstarts            # installs dattri and captum in .bench/quickstarts
    python -m benchmarks.peers.quickstarts --smoke    # Byline's alone, 5 queries

Each program gets a trained network, its training set and the queries, and returns scores [queries, training points].
Lines and imports are those of its file without the docstring. Seconds are CPU time of one process and one thread, imports
apart. Rows of one method are compared by Pearson's correlation over the training points.
"""

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
PINS = ("dattri==0.3.0", "captum==0.9.0")
PROGRAMS = {
    "Byline, EK-FAC": "byline_ekfac",
    "dattri, EK-FAC": "dattri_ekfac",
    "dattri, conjugate gradients": "dattri_cg",
    "Byline, TracIn (grad_dot)": "byline_grad_dot",
    "captum, TracIn": "captum_tracin",
}
RUN = """
import importlib, json, sys, time
import torch
torch.set_num_threads(1)
from benchmarks.peers.quickstarts.problem import problem
program = importlib.import_module("benchmarks.peers.quickstarts." + sys.argv[1])
given = problem(int(sys.argv[2]))
start = time.process_time()
found = program.scores(*given)
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "scores": [[float(value) for value in row] for row in found]}))
"""


def main() -> None:
    """Run every program and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="Byline's programs alone, 5 queries")
    options = parser.parse_args()
    chosen = {name: file for name, file in PROGRAMS.items() if not options.smoke or file.startswith("byline")}
    libraries = None if options.smoke else installed()
    table = Table("program", "lines", "imports", "CPU seconds", "correlation with Byline")
    reference: Any = None
    for name, file in chosen.items():
        found = run(file, 5 if options.smoke else 100, libraries)
        scores_QN = np.array(found["scores"])
        reference = scores_QN if file.startswith("byline") else reference
        alike = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores_QN, reference, strict=True)])
        lines, imports = size(HERE / f"{file}.py")
        table.add_row(name, str(lines), str(imports), f"{found['seconds']:.2f}", f"{alike:.3f}")
    Console(width=120).print(table)


def size(path: Path) -> tuple[int, int]:
    """Count a program's lines of code without its docstring and blank lines, and its imports."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    end = tree.body[0].end_lineno or 0
    lines = [line for line in source.splitlines()[end:] if line.strip()]
    return len(lines), sum(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


def run(program: str, queries: int, libraries: Path | None) -> dict[str, Any]:
    """Run one program in a process of its own."""
    path = [] if libraries is None else [f"import sys; sys.path.append({str(libraries)!r})"]
    command = [sys.executable, "-c", "\n".join([*path, RUN]), program, str(queries)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    if done.returncode:
        raise SystemExit(f"{program} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def installed() -> Path:
    """Install the libraries in a folder of their own, without a second torch."""
    folder = HERE.parents[2] / ".bench" / "quickstarts"
    ready = folder / "pins.txt"
    if not ready.is_file() or ready.read_text() != "\n".join(PINS):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run([*pip, "--no-deps", *PINS], check=True)
        subprocess.run([*pip, "matplotlib", "tqdm", "packaging"], check=True)  # what captum imports
        ready.write_text("\n".join(PINS))
    return folder


if __name__ == "__main__":
    main()
