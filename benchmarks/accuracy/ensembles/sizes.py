"""Bytes and query times of the GPT's ensembles at about 5,000 training points: no truth, no retraining, no LDS.

The models of `benchmarks.accuracy.sotu` were trained on the first 2,000 characters of each speech, and are attributed to
52,000 characters of each. Bytes and times do not depend on whether a point was trained on.
"""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.ensembles.measure import Costs, built, costs, queries_of
from benchmarks.accuracy.ensembles.rows import Row, masks, pca
from benchmarks.tasks.ensembles import FIVE
from benchmarks.tasks.sotu import model
from benchmarks.tasks.sotu.task import prepare, train_models, truth_of
from benchmarks.tasks.truth import Subject
from byline.attribution.opening import load_featurizer
from byline.loading.task_file import load_task

RECIPE = "ekfac"
BUILD = {"batch_rows": 64, "block_rows": 256}
FITTED = {"curvature": {"sample": 256}}
"""Points on which curvatures are fitted in every row: their bytes do not depend on it."""
ROWS = [
    Row("5 checkpoints", FIVE, changes=FITTED),
    Row("1 x 10 masks at .3, pca 512", members=masks(10, 0.3), changes={**FITTED, **pca(512)}),
    Row("1 x 5 masks at .3, pca 256", members=masks(5, 0.3), changes={**FITTED, **pca(256)}),
    Row("1 x 10 masks at .3, pca 256", members=masks(10, 0.3), changes={**FITTED, **pca(256)}),
]
SMOKE_ROWS = [
    Row("2 checkpoints", 2),
    Row("1 x 3 masks at .3, pca 16", members=masks(3, 0.3), changes=pca(16)),
]


@dataclass(frozen=True)
class Comparison:
    """A Task over trained models, and the ensembles that are compared."""

    protocol: model.Protocol
    task: str
    rows: list[Row]


FULL = Comparison(model.FULL, "benchmarks.tasks.sotu.task:longer", ROWS)
SMOKE = Comparison(model.SMOKE, "benchmarks.tasks.sotu.task:longer_smoke", SMOKE_ROWS)


def weigh(compared: Comparison, console: Console) -> None:
    """Build every row, time its queries, weigh its files, and print the table.

    Args:
        compared: The Task and its rows, of which the first is the baseline. Missing models are trained.
        console: Prints the table.
    """
    prepare(compared.protocol)
    train_models(compared.protocol)
    subject = Subject(compared.task, truth_of(compared.protocol), BUILD)
    task, queries = load_task(compared.task).task, queries_of(subject)
    found: list[tuple[Row, Costs]] = []
    for row in compared.rows:
        with built(subject, RECIPE, row, list(range(row.checkpoints))) as (_, index):
            found.append((row, costs(index, load_featurizer(index, task), queries)))
        print(row.label, found[-1][1], flush=True)
    console.print(
        _table(found, f"{compared.protocol.name}: {len(task.train_set):,} training points, {RECIPE}")
    )


def _table(found: list[tuple[Row, Costs]], title: str) -> Table:
    table = Table("ensemble", "passes", "ms", "over the first", "MB", "states", "over the first", title=title)
    first = found[0][1]
    for row, spent in found:
        table.add_row(
            row.label,
            str(row.checkpoints * row.masks_asked),
            f"{spent.milliseconds:.1f}",
            f"{spent.milliseconds / first.milliseconds - 1:+.0%}",
            f"{spent.size / 1e6:.1f}",
            f"{spent.states / 1e6:.1f}",
            f"{spent.size / first.size - 1:+.0%}",
        )
    return table
