"""Accuracy on a language model: LDS of the recipes on held-out speeches, against real retraining.

    python -m benchmarks.accuracy.sotu            # about 40 minutes on one core, 15 of them to retrain (kept, resumable)
    python -m benchmarks.accuracy.sotu --smoke    # seconds, no network: made-up speeches, and no figure means anything
    python -m benchmarks.accuracy.sotu --tune     # LDS by damping, on queries that are not reported

GPT-2 of 107,712 parameters (2 layers, width 48, dropout 0.1, 1,000 byte-pair tokens) on 227 chunks of 64 tokens of State of
the Union speeches by 12 presidents, 16 epochs of AdamW. The 60 reported queries are from other speeches of the same
presidents; the truth is 60 random halves x 2 seeds. f is minus the mean token loss. Each index is measured by
`byline evaluate --truth`. Rows with one checkpoint are means over three indexes of three independently trained models.
"""

import argparse
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.accuracy.evaluation import (
    Row,
    damping_table,
    measure,
    seed_agreement,
)
from benchmarks.tasks.sotu.model import FULL, SMOKE, Protocol
from benchmarks.tasks.sotu.task import keep_truths, prepare, reference_of, train_models, truth_of
from benchmarks.tasks.truth import Subject

DAMPINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
REPEATS = 3
METHODS = ("grad_dot", "grad_cos", "trak", "logra", "ekfac", "ekfac_pca", "ekfac_adam")
DAMPED = ("trak", "logra", "ekfac")


def masked(name: str, masks: int) -> Row:
    """Make the line of a recipe with masks."""
    return Row(f"{name}, {masks} masks", name, changes={"members": {"masks": masks}})


ROWS = [
    *(Row(name, name) for name in ("bm25", "representation")),
    *(Row(name, name, checkpoints) for checkpoints in (1, 5) for name in METHODS),
    *(masked(name, masks) for name in ("logra", "ekfac") for masks in (5, 10)),
]
SMOKE_ROWS = [Row("bm25", "bm25"), Row("grad_dot", "grad_dot"), Row("logra", "logra", 2), masked("ekfac", 2)]


def main() -> None:
    """Train missing models, build every index and print the table."""
    options = _options()
    torch.set_num_threads(1)
    protocol = SMOKE if options.smoke else FULL
    prepare(protocol)
    keep_truths(protocol)
    train_models(protocol)
    models = min(REPEATS, protocol.models)
    if options.tune:
        tuned = subject_of(protocol, "tuning")
        Console(width=120).print(damping_table(tuned, options.recipes or DAMPED, DAMPINGS, models))
        return
    rows = SMOKE_ROWS if options.smoke else ROWS
    report(subject_of(protocol), [row for row in rows if row.name in (options.recipes or row.name)], models)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--tune", action="store_true", help="LDS by damping on the tuning queries")
    parser.add_argument("--recipes", nargs="*", help="these recipes only")
    return parser.parse_args()


def subject_of(protocol: Protocol, name: str = "task") -> Subject:
    """Name a Task of the speeches with its truth."""
    truth = truth_of(protocol, "tuning" if name == "tuning" else "truth")
    return Subject(reference_of(protocol, name), truth, {"threads": 1, "batch_rows": 16, "block_rows": 128})


def report(subject: Subject, rows: Sequence[Row], models: int) -> None:
    """Measure every row, and print the table and the noise ceiling."""
    outputs_TSQ = subject.read().outputs_TSE
    seeds, halves, queries = outputs_TSQ.shape
    table = Table(
        "recipe", "checkpoints", "numbers a row", "LDS", "95 % interval",
        title=f"State of the Union, LDS (f = -loss): {halves} halves x {seeds} seeds, {queries} queries",
    )  # fmt: skip
    for row in track(rows, description="indexes"):
        cells = measure(subject, row, models).cells
        table.add_row(row.label, str(row.checkpoints), *cells)
        print(row.label, row.checkpoints, *cells, sep=" | ", flush=True)
    console = Console(width=120)
    console.print(table)
    console.print(
        f"noise ceiling, one seed against the mean of the others: {seed_agreement(outputs_TSQ):.3f}"
    )


if __name__ == "__main__":
    main()
