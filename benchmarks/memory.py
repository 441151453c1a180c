"""Peak memory of a build at n rows and at ten times n: it must not grow with the training set.

    python -m benchmarks.memory            # about 4 minutes
    python -m benchmarks.memory --smoke

Every build runs in a process of its own, whose peak resident memory the operating system counts.
"""

import argparse
import resource
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.table import Table

from benchmarks.targets import Targets

SIZES = {"n": "texts_320", "10 n": "texts_3200"}
SMOKE_SIZES = {"n": "texts_64", "5 n": "texts_320"}
RECIPES = {
    "logra, 16 x 16": {"name": "logra", "projection": {"size_in": 16, "size_out": 16}},
    "ekfac 2,048, fitted on 320": {"name": "ekfac", "curvature": {"sample": 320}},
}
SEARCHES = ("exact", "compressed")


def main() -> int:
    """Build at both sizes and print the peaks; 1 if they differ by more than a fifth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run that shows that it works")
    parser.add_argument(
        "--one", nargs=3, metavar=("TASK", "RECIPE", "SEARCH"), help="build once, print the peak"
    )
    arguments = parser.parse_args()
    if arguments.one:
        build_once(*arguments.one)
        return 0
    sizes = SMOKE_SIZES if arguments.smoke else SIZES
    table = Table("recipe", "search", *[f"peak at {size}, MB" for size in sizes], "ratio")
    targets = Targets()
    worst = 0.0
    for recipe in list(RECIPES)[: 1 if arguments.smoke else None]:
        for search in SEARCHES:
            peaks = [peak(task, recipe, search) for task in sizes.values()]
            worst = max(worst, peaks[-1] / peaks[0])
            table.add_row(recipe, search, *[f"{p:.0f}" for p in peaks], f"{peaks[-1] / peaks[0]:.2f}")
    Console(width=120).print(table)
    targets.at_most("peak memory at ten times the rows, times", worst, 1.2)
    return targets.exit_code()


def peak(task: str, recipe: str, search: str) -> float:
    """Peak resident memory in MB of a build in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", task, recipe, search]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def build_once(task: str, recipe: str, search: str) -> None:
    """Build, and print this process's peak."""
    from indexer.build import build
    from indexer.config import BuildConfig

    with tempfile.TemporaryDirectory() as folder:
        config = {
            "task": f"benchmarks.gpt_task:{task}",
            "recipe": RECIPES[recipe],
            "index": {"path": folder, "search": search},
        }
        build(BuildConfig.model_validate(config))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    raise SystemExit(main())
