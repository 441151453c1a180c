"""Quick starts on a language model's folder: lines, imports and seconds to the first answer.

    python -m benchmarks.peers.folder_quickstarts            # installs the libraries in .bench/peers, 1.8 GB
    python -m benchmarks.peers.folder_quickstarts --smoke    # Byline's alone, a smaller file

Each program gets the folder of a small Llama as `save_pretrained` leaves it, a JSONL file of 96 texts and a question, and
prints the five most influential texts. Lines and imports are those of its file without the docstring. Seconds are those
of the processor, of the program and its commands, imports included, on one thread.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.peers.__main__ import environment
from benchmarks.peers.folder_quickstarts.problem import write_problem
from benchmarks.peers.quickstarts.__main__ import size
from examples.smollm2.documents import Sizes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PROGRAMS = {
    "Byline, commands": "byline_build",
    "Byline, Python": "byline_python",
    "bergson, gradient products": "bergson_attributor",
    "kronfluence, EK-FAC": "kronfluence_ekfac",
    "dattri, gradient products": "dattri_tracin",
}
ANSWERS = 5


def main() -> None:
    """Run every program and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="Byline's programs alone, a smaller file")
    smoke = parser.parse_args().smoke
    python = Path(sys.executable) if smoke else environment()
    table = Table("program", "lines", "imports", "CPU seconds to the first answer")
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem"
        problem.mkdir()
        write_problem(problem, Sizes(packages=8, characters=300) if smoke else Sizes(), 2 if smoke else 60)
        for name, file in PROGRAMS.items():
            ours = file.startswith("byline")
            if ours or not smoke:
                place = Path(folder) / file
                shutil.copytree(problem, place)
                seconds = run(file, place, Path(sys.executable) if ours else python)
                lines, imports = size(HERE / f"{file}.py")
                print(name, lines, imports, f"{seconds:.1f}", flush=True)
                table.add_row(name, str(lines), str(imports), f"{seconds:.1f}")
    Console(width=100).print(table)


def run(program: str, place: Path, python: Path) -> float:
    """Run one program in a folder.

    Args:
        program: Name of the file.
        place: The problem's copy, in which it leaves what it makes.
        python: Interpreter of its environment.

    Returns:
        Seconds of the processor, of all its processes.
    """
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    before = _seconds()
    done = subprocess.run(
        [python, HERE / f"{program}.py"],
        cwd=place,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if done.returncode or len(done.stdout.strip().splitlines()) < ANSWERS:
        raise SystemExit(f"{program} failed: {done.stderr[-2000:]}")
    return _seconds() - before


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
