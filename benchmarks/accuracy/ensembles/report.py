"""The table of a problem, and the targets: savings without a loss of LDS."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.ensembles.measure import Result
from benchmarks.report import Targets
from benchmarks.tasks.ensembles import Problem

ROUNDING = 1e-9


def show(problem: Problem, results: Sequence[Result], console: Console) -> None:
    """Print the table of one problem."""
    truth = problem.subject.read()
    (subsets, points), queries = truth.subsets_SJ.shape, truth.outputs_TSE.shape[2]
    table = Table(title=f"{problem.name}: {points:,} training points, {queries} queries, {subsets} subsets")
    names = (
        "recipe",
        "ensemble",
        "LDS",
        "tuning",
        "95 %",
        "over five",
        "95 %",
        "training",
        "passes",
        "ms",
        "MB",
        "states",
    )
    for name in names:
        table.add_column(name, justify="left" if name in {"recipe", "ensemble"} else "right")
    for each in results:
        table.add_row(*_cells(each, _five(results, each.recipe)))
    console.print(table)


def _cells(result: Result, five: Result) -> list[str]:
    low, high = np.quantile(result.draws, (0.025, 0.975))
    over, least, most = result.above(five)
    return [
        result.recipe,
        result.label,
        f"{result.lds:.3f}",
        "" if result.tuning is None else f"{result.tuning:.3f}",
        f"{low:.3f}-{high:.3f}",
        f"{over:+.3f}",
        f"{least:+.3f} {most:+.3f}",
        f"{result.training:.2f}",
        str(result.passes),
        f"{result.milliseconds:.1f}",
        f"{result.size / 1e6:.1f}",
        f"{result.states / 1e6:.1f}",
    ]


def judge(problem: Problem, results: Sequence[Result], targets: Targets) -> None:
    """Compare the best ensemble that saves enough with five checkpoints of the same recipe.

    A target is met if the upper end of the paired 95 % interval of the difference is not below zero.
    """
    for recipe in problem.recipes:
        own, five = [each for each in results if each.recipe == recipe], _five(results, recipe)
        training = {e.label for e in own if e.training <= 0.2 * five.training + ROUNDING}
        milliseconds = {e.label for e in own if e.milliseconds <= 0.4 * five.milliseconds}
        size = {e.label for e in own if e.size <= 0.2 * five.size}
        savings = {
            "training -80 %": training,
            "training -80 %, query time -60 %": training & milliseconds,
            "training -80 %, bytes -80 %": training & size,
            "training -80 %, query time -60 %, bytes -80 %": training & milliseconds & size,
        }
        for words, labels in savings.items():
            meeting = [each for each in own if each.label in labels]
            what = f"{problem.name}, {recipe}, {words}"
            if not meeting:
                targets.at_least(f"{what}: nothing saves so much", -1.0, 0.0)
                continue
            best = max(meeting, key=lambda each: each.lds)
            over, _, most = best.above(five)
            targets.at_least(
                f"{what}: {best.label}, LDS {best.lds:.3f}, over five {over:+.3f}, up to", most, 0.0
            )


def _five(results: Sequence[Result], recipe: str) -> Result:
    return next(each for each in results if each.recipe == recipe)
