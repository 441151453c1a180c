"""Solved queries on fine-tuned models: LDS by steps and damping, on tuning queries, of one unchanged index.

    python -m benchmarks.accuracy.refined                 # an image classifier, minutes
    python -m benchmarks.accuracy.refined --case texts    # a language model; hours to retrain, kept
    python -m benchmarks.accuracy.refined --smoke         # seconds: no figure means anything

The index is `ekfac_pca`. Rows are its own answer, and answers that are solved in the metric of the Adam run under several
dampings, in units of 1 / (eta T). Columns are truths: random halves, random removals of 5 %, and one owner left out.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.finetuning import CASES, Case, Row
from benchmarks.tasks.truth import KINDS
from byline.attribution.attributor import Attributor
from byline.models.run_geometry import ADAM_DAMPING
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.evaluation.comparison import compare
from byline_indexer.evaluation.truth import Truth, from_file

STEPS = (1, 2, 4, 8)
DAMPINGS = (1.0, 6.0, 20.0)
ROW = Row("ekfac_pca 512", "ekfac_pca", {"pca": {"size": 512}})


def main() -> int:
    """Make what is missing, build one index, print the table."""
    options = _options()
    torch.set_num_threads(1)
    case = Case(CASES[options.case], options.smoke)
    case.prepare(1)
    modules = import_module(f"{case.package}.task"), import_module(f"{case.package}.truths")
    task = modules[0].make_task(case.protocol, 0, reported=False)
    count = len(task.evaluation_set or ())
    places_Q = np.unique(np.linspace(0, count - 1, min(count, options.queries)).astype(int))
    sizes = len(task.train_set), count
    truths = {
        kind: from_file(modules[1].truth_of(case.protocol, 0, kind, reported=False), *sizes, None)
        for kind in KINDS
    }
    table = Table(
        "damping x eta T", "steps", *KINDS, title=f"{options.case}, {len(places_Q)} tuning queries: LDS"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = build(case.subject(ROW, 0, KINDS[0]).config({"name": ROW.name, **ROW.changes}, folder)).path
        for damping, steps in [(ADAM_DAMPING, 0), *((d, s) for d in DAMPINGS for s in STEPS)]:
            opened = Attributor.open(path, task=damped(task, damping))
            items = [(task.evaluation_set or ())[int(place)] for place in places_Q]
            found = accuracy(opened.item_scores(items, refine=steps), truths, places_Q)
            table.add_row(f"{damping:g}" if steps else "-", str(steps), *(f"{found[k]:.3f}" for k in KINDS))
    Console(width=100).print(table)
    return 0


def damped(task: Task, damping: float) -> Task:
    """Declare another learning rate, under which a run of Adam has this damping in units of the true 1 / (eta T)."""
    checkpoints = []
    for each in task.checkpoints:
        assert each.learning_rate is not None
        checkpoints.append(replace(each, learning_rate=each.learning_rate * ADAM_DAMPING / damping))
    return replace(task, checkpoints=checkpoints)


def accuracy(scores_QR: np.ndarray, truths: Mapping[str, Truth], places_Q: np.ndarray) -> dict[str, float]:
    """Compute the LDS of some queries against every truth."""
    return {
        kind: compare(scores_QR, truth.subsets_SJ, truth.outputs_TSE[:, :, places_Q]).value
        for kind, truth in truths.items()
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--case", choices=sorted(CASES), default="images")
    parser.add_argument("--queries", type=int, default=30, help="tuning queries that are solved")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
