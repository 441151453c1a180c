"""Peak memory of a build at n rows and at ten times n: it must not grow with the training set.

    python -m benchmarks.speed.memory                    # every recipe: about 25 minutes on one core
    python -m benchmarks.speed.memory --only logra ekfac
    python -m benchmarks.speed.memory --smoke

320 and 3,200 texts of 32 tokens of the GPT of 0.94 M parameters. Every build runs in a process of its own, whose peak
resident memory the operating system counts. Recipes whose default size is a gradient's are given a projection;
those of a recorded run are in `benchmarks.accuracy.recorded`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.report import Targets
from byline.recipes import RECIPES

SIZES = {"n": "short_320", "10 n": "short_3200"}
SMOKE_SIZES = {"n": "short_64", "5 n": "short_320"}
SMALL = {"size_in": 16, "size_out": 16}
SAMPLE = 320
CHANGES: dict[str, dict[str, Any]] = {
    "rps": {"projection": {"kind": "sjlt", "size": 4096}},
    "factgrass": {"projection": {"size": 256}},
    "arnoldi": {"projection": {"size": 8}, "curvature": {"steps": 16, "sample": 64}},
    "logra": {"projection": SMALL},
    "datainf": {"projection": SMALL},
    "rif": {"projection": SMALL},
    "trackstar": {"projection": SMALL},
    "less": {"members": {"weights": "equal"}},
    "kfac": {"curvature": {"sample": SAMPLE}},
    "ekfac": {"curvature": {"sample": SAMPLE}},
    "ekfac_margin": {"curvature": {"sample": SAMPLE}},
    "relatif": {"curvature": {"sample": SAMPLE}},
}
"""Sizes for recipes whose defaults are for other models, as in the build-time benchmark."""
REFUSED = {"if_exact"}
"""Recipes that write a matrix of all parameters, and refuse so many."""
COMPRESSED = ("logra", "ekfac")
"""Recipes that are built with compressed search too."""


def main() -> int:
    """Build at both sizes and print the peaks; 1 if they differ by more than a fifth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="these recipes")
    parser.add_argument(
        "--one", nargs=3, metavar=("TASK", "RECIPE", "SEARCH"), help="build once, print the peak"
    )
    arguments = parser.parse_args()
    if arguments.one:
        build_once(*arguments.one)
        return 0
    sizes = SMOKE_SIZES if arguments.smoke else SIZES
    cases = [("logra", "exact")] if arguments.smoke else every_case(arguments.only or list(RECIPES))
    table = Table("recipe", "search", *[f"peak at {size}, MB" for size in sizes], "ratio")
    targets = Targets()
    worst = 0.0
    for recipe, search in track(cases, description="builds"):
        peaks = [peak(task, recipe, search) for task in sizes.values()]
        worst = max(worst, peaks[-1] / peaks[0])
        row = (recipe, search, *[f"{p:.0f}" for p in peaks], f"{peaks[-1] / peaks[0]:.2f}")
        print(*row, flush=True)
        table.add_row(*row)
    Console(width=120).print(table)
    targets.at_most("peak memory at ten times the rows, times", worst, 1.2)
    return targets.exit_code()


def every_case(recipes: list[str]) -> list[tuple[str, str]]:
    """List recipes and searches, in the order of the table."""
    chosen = [name for name in recipes if name not in REFUSED and not RECIPES[name].recorded]
    return [(name, "exact") for name in chosen] + [
        (name, "compressed") for name in chosen if name in COMPRESSED
    ]


def peak(task: str, recipe: str, search: str) -> float:
    """Build in a process of its own, and return its peak resident memory in MB."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", "--one", task, recipe, search]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def build_once(task: str, recipe: str, search: str) -> None:
    """Build, and print the peak memory of this process."""
    from byline_indexer.build.build import build
    from byline_indexer.config import BuildConfig

    with tempfile.TemporaryDirectory() as folder:
        config = {
            "task": f"benchmarks.tasks.gpt:{task}",
            "recipe": {"name": recipe, **CHANGES.get(recipe, {})},
            "index": {"path": folder, "search": search},
        }
        build(BuildConfig.model_validate(config))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    raise SystemExit(main())
