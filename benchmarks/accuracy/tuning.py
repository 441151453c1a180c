"""Settings that `byline tune` chooses on tuning queries, beside the best of all it tried on the reported queries.

    python -m benchmarks.accuracy.tuning                    # four cases, hours on 2 cores (kept, resumable)
    python -m benchmarks.accuracy.tuning --smoke            # a minute: tiny cases, and no figure means anything
    python -m benchmarks.accuracy.tuning --only digits      # one case
    python -m benchmarks.accuracy.tuning --bytes-per-row 2072   # within a budget

Each case runs the search of `byline tune` on its tuning queries. The same scores are then compared with the reported
queries' truth, which the search never sees. The best of all settings on the reported queries is an upper bound that flatters
itself, as it is chosen on what it is measured by.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.report import Targets
from benchmarks.tasks.tuned import Case, cases, folder_of
from byline.loading.task_file import load_task
from byline.metrics import agreement
from byline_indexer.cli.tuning_table import rival_lines
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.costs import Budget
from byline_indexer.evaluation.grid import Grid
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.subject import Subject
from byline_indexer.evaluation.trials import Trial, Trials
from byline_indexer.evaluation.truth import from_file
from byline_indexer.evaluation.tune import Tuned, choose
from byline_indexer.progress import Silent

MOST_APART = 0.01
"""LDS that the chosen setting may be below the best one."""
SMOKE_GRID = Grid.model_validate(
    {
        "rows": ["ekfac", "logra"],
        "sizes": ["64", "128:16"],
        "dampings": [0.3, 1.0],
        "checkpoints": ["0", "all"],
        "masks": ["none", "2:0.3"],
        "refine": [0, 2],
    }
)


class Printed(Silent):
    """Prints messages, each a candidate."""

    def message(self, message: str) -> None:
        """Print the message."""
        print(message, flush=True)


@dataclass(frozen=True)
class Outcome:
    """A search, and the LDS of all its settings on the reported queries."""

    tuned: Tuned
    reported: list[float]
    """LDS on the reported queries, in the order of the trials."""
    allowed: list[bool]
    """Whether each setting is within the budget."""

    @property
    def chosen(self) -> float:
        """LDS of the chosen setting on the reported queries."""
        return self.reported[self._place(self.tuned.best)]

    @property
    def best(self) -> int:
        """Number of the setting within the budget with the largest LDS on the reported queries."""
        known = [value if fits else -np.inf for value, fits in zip(self.reported, self.allowed, strict=True)]
        return int(np.argmax(known))

    def of(self, trial: Trial) -> float:
        """LDS of a setting on the reported queries."""
        return self.reported[self._place(trial)]

    def _place(self, trial: Trial) -> int:
        return next(place for place, each in enumerate(self.tuned.tried) if each is trial)


def search(case: Case, grid: Grid, budget: Budget, *, smoke: bool) -> Outcome:
    """Tune a case, and compare all its settings with the reported queries' truth.

    Args:
        case: The Task.
        grid: What is tried.
        budget: The most that a setting may cost.
        smoke: Whether the case is the smallest one.
    """
    case.prepare()
    folder = folder_of(case, smoke=smoke)
    truth_file, tuning, reported = case.keep_truth(folder)
    config = BuildConfig.model_validate(
        {
            "task": case.reference,
            "recipe": {"name": "ekfac_pca"},
            "index": {"path": folder / "index"},
            "build": {"threads": torch.get_num_threads(), **case.build},
        }
    )
    options = EvaluationOptions(out=folder, truth=truth_file, output="loss", tuning=tuning, queries=reported)
    subject = Subject(config, options, load_task(config.task), Printed())
    trials = Trials(subject, np.arange(tuning + reported), tuning)
    tuned = choose(trials, grid, budget)
    truth = from_file(truth_file, len(subject.task.train_set), tuning + reported, None)
    outputs_SQ = truth.of(trials.items[tuning:]).mean(axis=0)
    found = [float(np.nanmean(agreement(each.predicted_SE[:, tuning:], outputs_SQ))) for each in tuned.tried]
    return Outcome(tuned, found, [budget.allows(each.cost) for each in tuned.tried])


def report(case: Case, outcome: Outcome) -> Table:
    """Lay out a case: the settings that nothing beats, the build file's, and the best on the reported queries."""
    tuned = outcome.tuned
    table = Table(
        "setting", "LDS, tuning", "LDS, reported", "bytes a row", "ms", "",
        title=f"{case.name}: {len(tuned.tried)} settings, {tuned.queries} tuning queries",
    )  # fmt: skip
    best = tuned.tried[outcome.best]
    marked = {"chosen": tuned.best, "best on reported": best, "default": tuned.tried[0]}
    shown = tuned.pareto
    shown += [each for each in marked.values() if not any(each is other for other in shown)]
    for each in dict.fromkeys(map(id, shown)):
        trial = next(other for other in shown if id(other) == each)
        marks = ", ".join(mark for mark, other in marked.items() if other is trial)
        cost = trial.cost
        cells = (
            f"{trial.lds:.3f}",
            f"{outcome.of(trial):.3f}",
            f"{cost.row_bytes:,.0f}",
            f"{cost.milliseconds:.1f}",
        )
        table.add_row(trial.candidate.text, *cells, marks)
    return table


def main() -> int:
    """Tune every case, and print what was chosen beside what was best; 1 if a case is too far from it."""
    options = _options()
    torch.set_num_threads(1)
    console, targets = Console(width=160), Targets()
    budget = Budget(row_bytes=options.bytes_per_row, milliseconds=options.milliseconds)
    for case in cases(smoke=options.smoke):
        if options.only and case.name not in options.only:
            continue
        outcome = search(case, SMOKE_GRID if options.smoke else Grid(), budget, smoke=options.smoke)
        console.print(report(case, outcome))
        for line in rival_lines(outcome.tuned):
            console.print(line)
        apart = outcome.reported[outcome.best] - outcome.chosen
        targets.at_most(f"{case.name}: LDS that the chosen setting is below the best", apart, MOST_APART)
    return 0 if options.smoke else targets.exit_code()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--only", nargs="+", default=[], metavar="CASE", help="these cases only")
    parser.add_argument("--bytes-per-row", type=int, help="the most bytes of a row")
    parser.add_argument("--milliseconds", type=float, help="the most time of a query")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
