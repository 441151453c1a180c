"""Accuracy on fine-tuned models: LDS on halves, without 5 % of the points, and without one owner, with BM25 beside it.

    python -m benchmarks.accuracy.finetuning                 # a language model on owners' documents; hours to retrain, kept
    python -m benchmarks.accuracy.finetuning --case images   # an image classifier, minutes
    python -m benchmarks.accuracy.finetuning --smoke         # seconds: no figure means anything
    python -m benchmarks.accuracy.finetuning --only ekfac bm25 --models 1

A GPT-2 of 422,016 parameters (2 layers, width 96, 2,000 tokens, no dropout) is pretrained on messages of presidents until
1912 and fine-tuned for three epochs with AdamW on 630 chunks of 64 tokens by 18 later presidents, who are the owners.
Queries are 150 chunks of other speeches. Truths are fine-tunings on 60 random halves, on 40 random subsets without 5 % of
the points, and without each owner: from the same weights, in two orders, the same for all subsets. The first order is that
of the run that is attributed. Figures are means over three pretrained models; the interval is that of the first.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.accuracy.joint_fisher import joint_fisher_scores
from benchmarks.report import Targets
from benchmarks.tasks.truth import KINDS, Subject
from byline.baselines import BASELINES, FitOptions
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.members import Member
from byline.metrics import agreement
from byline.models.network import load_network
from byline_indexer.build.build import build
from byline_indexer.evaluation.comparison import Comparison, compare
from byline_indexer.scores import score_items

CASES = {"texts": "benchmarks.tasks.finetuning", "images": "benchmarks.tasks.image_finetuning"}
BUILD = {"threads": 1, "batch_rows": 16, "block_rows": 128}


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe with changes, a baseline, or the brute-force reference."""

    label: str
    name: str
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    run: bool = False
    """Attribute all checkpoints of the run."""
    refine: int = 0
    """Steps that solve each query."""
    queries: int | None = None
    """Reported queries that are scored, the first ones. None takes all."""
    power: float = 0.0
    """Exponent of Adam's second moment, of the reference."""


JOINT = "joint_fisher"
ROWS = (
    Row("bm25", "bm25"),
    Row("representation", "representation"),
    Row("joint Fisher, all parameters", JOINT),
    Row("joint Fisher, all parameters, Adam", JOINT, power=0.5),
    Row("grad_dot 4,096", "grad_dot"),
    Row("logra", "logra"),
    Row("ekfac 2,048", "ekfac"),
    Row("ekfac_pca 512", "ekfac_pca", {"pca": {"size": 512}}),
    Row("ekfac_pca 1,024", "ekfac_pca"),
    Row("ekfac_adam 512", "ekfac_adam", {"pca": {"size": 512}}),
    Row("ekfac_adam 1,024", "ekfac_adam"),
    Row("ekfac_adam 1,024, run", "ekfac_adam", run=True),
    Row("ekfac_adam 1,024, 12 queries", "ekfac_adam", queries=12),
    Row("ekfac_adam 1,024, 12 queries, refine 8", "ekfac_adam", refine=8, queries=12),
)


@dataclass(frozen=True)
class Case:
    """A fine-tuning case: its modules and protocol."""

    package: str
    smoke: bool

    @property
    def protocol(self) -> Any:
        """Its protocol."""
        module = import_module(f"{self.package}.protocol")
        return module.SMOKE if self.smoke else module.FULL

    def reference(self, row: Row, base: int) -> str:
        """Name the Task that a row attributes."""
        kind = "run" if row.run else "base"
        smoke = {"run": "smoke_run", "base": "smoke"}
        return f"{self.package}.task:{smoke[kind] if self.smoke else kind}_{base}"

    def prepare(self, bases: int) -> None:
        """Pretrain, fine-tune and retrain; finished files stay."""
        truths = import_module(f"{self.package}.truths")
        import_module(f"{self.package}.task").prepare(self.protocol)
        for base in range(bases):
            for kind in KINDS:
                truths.keep_truths(self.protocol, base, kind)

    def subject(self, row: Row, base: int, kind: str) -> Subject:
        """Name the Task and the truth."""
        truth = import_module(f"{self.package}.truths").truth_of(self.protocol, base, kind)
        return Subject(self.reference(row, base), truth, BUILD)


def main() -> int:
    """Make what is missing, measure every row, print the table; 1 if a target is missed."""
    options = _options()
    torch.set_num_threads(1)
    case = Case(CASES[options.case], options.smoke)
    models = 1 if options.smoke else options.models
    case.prepare(models)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    if options.case == "images":
        rows = [row for row in rows if row.name != "bm25"]  # images have no words
    found = {
        row: [measured(case, row, base) for base in range(models)] for row in track(rows, description="rows")
    }
    report(case, found, models)
    return (
        _targets(case, found, models)
        if not (options.smoke or options.only) and options.case == "texts"
        else 0
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--case", choices=sorted(CASES), default="texts")
    parser.add_argument(
        "--models", type=int, default=3, help="pretrained models that a figure is the mean over"
    )
    parser.add_argument("--only", nargs="*", help="these recipes and baselines only")
    return parser.parse_args()


def measured(case: Case, row: Row, base: int) -> dict[str, Comparison]:
    """Score the reported queries once, and compare with every truth."""
    subjects = {kind: case.subject(row, base, kind) for kind in KINDS}
    scores_QR = _scores(subjects[KINDS[0]], row)
    truths = {kind: subject.read() for kind, subject in subjects.items()}
    asked = len(scores_QR)
    return {
        kind: compare(scores_QR, truth.subsets_SJ, truth.outputs_TSE[:, :, :asked])
        for kind, truth in truths.items()
    }


def _scores(subject: Subject, row: Row) -> np.ndarray:
    task = load_task(subject.task).task
    items = list(task.evaluation_set or ())[: row.queries]
    if row.name == JOINT:
        return joint_fisher_scores(task, items, row.power)
    if row.name in BASELINES:
        options = FitOptions(model=load_network(task, Member(0)))
        return np.asarray(BASELINES[row.name].fit(task, options).scores(items))
    with tempfile.TemporaryDirectory() as folder:
        config = subject.config({"name": row.name, **row.changes}, f"{folder}/index")
        with AttributionIndex.open(build(config).path) as index:
            return score_items(index, task, items, "loss", refine=row.refine)


Found = Mapping[Row, Sequence[Mapping[str, Comparison]]]
"""Row -> comparisons by kind of truth, one for each model."""


def report(case: Case, found: Found, models: int) -> None:
    """Print the table, and the agreement of the two orders."""
    title = f"{case.package.rsplit('.', 1)[1]}: LDS, mean over {models} models"
    table = Table("row", *(f"{kind} (95 %)" for kind in KINDS), title=title)
    orders = [_agreement(case, kind, models) for kind in KINDS]
    table.add_row("two orders agree", *(f"{value:.3f}" for value in orders))
    for row, comparisons in found.items():
        table.add_row(row.label, *(_cell([each[kind] for each in comparisons]) for kind in KINDS))
    Console(width=120).print(table)


def _cell(comparisons: Sequence[Comparison]) -> str:
    interval = comparisons[0].interval
    bounds = "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"
    return f"{np.mean([each.value for each in comparisons]):.3f}{bounds}"


def _agreement(case: Case, kind: str, models: int) -> float:
    """Correlate the outputs of one order with the other's, over subsets, averaged over queries and models."""
    found = []
    for base in range(models):
        outputs_TSQ = case.subject(ROWS[0], base, kind).read().outputs_TSE
        found.append(np.nanmean(agreement(outputs_TSQ[0], outputs_TSQ[1])))
    return float(np.mean(found))


def _targets(case: Case, found: Found, models: int) -> int:
    def lds(label: str, kind: str) -> float:
        row = next(row for row in found if row.label == label)
        return float(np.mean([each[kind].value for each in found[row]]))

    targets = Targets()
    joint = max(lds(row.label, "halves") for row in found if row.name == JOINT)
    last, run = lds("ekfac_adam 1,024", "halves"), lds("ekfac_adam 1,024, run", "halves")
    targets.at_least("halves, last checkpoint, over the joint Fisher matrix", last / joint, 0.95)
    targets.at_least("halves, last checkpoint, above BM25", last - lds("bm25", "halves"), 0.08)
    targets.at_least("halves, three checkpoints, above BM25", run - lds("bm25", "halves"), 0.15)
    for kind in KINDS[1:]:
        refined = lds("ekfac_adam 1,024, 12 queries, refine 8", kind)
        targets.at_least(f"{kind}, refined, above ekfac 2,048", refined - lds("ekfac 2,048", kind), 0.12)
        targets.at_least(f"{kind}, refined, over two orders", refined / _agreement(case, kind, models), 0.90)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
