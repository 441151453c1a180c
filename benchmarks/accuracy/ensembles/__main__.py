"""Costs and accuracy of ensembles: five trained models against masks, adapters and forward-only masks of one.

    python -m benchmarks.accuracy.ensembles                     # digits and the small GPT: about an hour on one core
    python -m benchmarks.accuracy.ensembles --problem digits
    python -m benchmarks.accuracy.ensembles --problem digits --recipe ekfac --rates --repeats 1
    python -m benchmarks.accuracy.ensembles --sizes             # bytes and times at 5,000 chunks, no LDS: 7 minutes of CPU
    python -m benchmarks.accuracy.ensembles --smoke             # seconds: no figure means anything
    python -m benchmarks.accuracy.ensembles --task FILE.py:task --truth truth.npz --train-seconds 60 --recipe ekfac

A Task of one's own needs an `evaluation_set` of at most 100 queries, and a truth file of minus the loss that
`byline evaluate --truth` reads. --train-seconds is the CPU time of one checkpoint, trained in the same kind of loop as the
adapters. Rows with one checkpoint are means over several, one after the other. Training is in units of one checkpoint, and
adapters count by their measured time. Milliseconds are the CPU time of one query at a time, feature and search, on one
thread: the median of twenty.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.accuracy.ensembles.measure import Bench, Result
from benchmarks.accuracy.ensembles.report import judge, show
from benchmarks.accuracy.ensembles.rows import COMMON, RATES, SMOKE, Row, rows_of
from benchmarks.accuracy.ensembles.sizes import FULL as LONGER
from benchmarks.accuracy.ensembles.sizes import SMOKE as SMALLEST
from benchmarks.accuracy.ensembles.sizes import weigh
from benchmarks.report import Targets
from benchmarks.tasks.digits import SMOKE as DIGITS
from benchmarks.tasks.ensembles import PROBLEMS, Problem, digits_problem, given_problem

DEFAULT = ["digits", "sotu"]


def main() -> int:
    """Measure the chosen problems; 1 if a target is missed."""
    options = _options()
    torch.set_num_threads(1)  # networks this small gain nothing by more
    targets, console = Targets(), Console(width=150)
    if options.sizes:
        weigh(SMALLEST if options.smoke else LONGER, console)
        return 0
    for problem in _problems(options):
        kinds, only = RATES if options.rates else COMMON, SMOKE if options.smoke else options.only
        results = measured(problem, kinds, only)
        show(problem, results, console)
        if not options.rates:
            judge(problem, results, targets)
    return 0 if options.smoke else targets.exit_code()


def measured(problem: Problem, kinds: list[Row], only: list[str]) -> list[Result]:
    """Measure every row of a problem, and keep the figures."""
    bench = Bench(problem)
    rows, results = rows_of(kinds, bench.available, only), []
    if any("adapters" in row.members for row in rows):
        bench.adapt()
    for recipe in problem.recipes:
        for row in rows:
            if row.margin is None or row.margin == (recipe == "ekfac_margin"):
                results.append(bench.row(recipe, row))
                kept = {name: value for name, value in vars(results[-1]).items() if name != "draws"}
                print(json.dumps(kept), flush=True)
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--problem", choices=list(PROBLEMS), action="append", help="this problem only")
    parser.add_argument("--task", help="a Task of one's own")
    parser.add_argument("--truth", type=Path, help="truth file of this Task")
    parser.add_argument("--name", default="given", help="name of this Task in the table")
    parser.add_argument("--recipe", action="append", help="recipes to measure with")
    parser.add_argument("--only", action="append", default=[], help="only rows with this text in their label")
    parser.add_argument("--rates", action="store_true", help="only ten masks, by their rate")
    parser.add_argument("--sizes", action="store_true", help="only the GPT's bytes and times at 5,000 chunks")
    parser.add_argument("--repeats", type=int, help="checkpoints behind each row with one")
    parser.add_argument(
        "--train-seconds", type=float, default=1.0, help="CPU time of training one checkpoint"
    )
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch in builds and trainings")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="learning rate of the adapters")
    return parser.parse_args()


def _problems(options: argparse.Namespace) -> list[Problem]:
    if options.smoke:
        problems = [digits_problem(DIGITS)]
    elif options.task:
        problems = [given_problem(options)]
    else:
        problems = [PROBLEMS[name]() for name in options.problem or DEFAULT]
    if not options.rates:
        problems = [replace(problem, tuning=None) for problem in problems]
    if options.repeats:
        problems = [replace(problem, repeats=options.repeats) for problem in problems]
    if options.recipe:
        problems = [replace(problem, recipes=tuple(options.recipe)) for problem in problems]
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
