"""Accuracy on a language model: LDS of the recipes on held-out speeches, against real retraining.

    python -m benchmarks.accuracy.sotu            # about 40 minutes on one core, of which 15 to retrain (kept, resumable)
    python -m benchmarks.accuracy.sotu --smoke    # seconds, no network: made-up speeches, no figure means anything
    python -m benchmarks.accuracy.sotu --tune     # LDS by damping, on queries that are not reported

GPT-2 of 107,712 parameters (2 layers, width 48, dropout 0.1, 1,000 byte-pair tokens) on 227 chunks of 64 tokens
of State of the Union speeches by 12 presidents, 16 epochs of AdamW; 60 reported queries from other speeches of the
same presidents, 60 random halves x 2 seeds. f = minus the mean token loss. Rows with one checkpoint are means
over three indexes of three independently trained models.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.accuracy.lds import interval, lds
from benchmarks.tasks.sotu.model import FULL, SMOKE, Protocol
from benchmarks.tasks.sotu.task import make_task, prepare, train_models
from benchmarks.tasks.sotu.truth import gather, retrain
from byline.baselines import BASELINES, FitOptions
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.network import load_network
from byline.search.searcher import Searcher
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

DAMPINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
REPEATS = 3


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe with changes, or a baseline, by how many checkpoints."""

    name: str
    checkpoints: int = 1
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What people read."""
        masks = self.changes.get("members", {}).get("masks", 0)
        return f"{self.name}, {masks} masks" if masks else self.name


METHODS = ("grad_dot", "grad_cos", "trak", "logra", "ekfac")
ROWS = [
    *(Row(name) for name in ("bm25", "representation")),
    *(Row(name, checkpoints) for checkpoints in (1, 5) for name in METHODS),
    *(Row(name, changes={"members": {"masks": masks}}) for name in ("logra", "ekfac") for masks in (5, 10)),
]
SMOKE_ROWS = [Row("bm25"), Row("grad_dot"), Row("logra", 2), Row("ekfac", changes={"members": {"masks": 2}})]


def main() -> None:
    """Train and retrain what is missing, build every index, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run that shows that it works")
    parser.add_argument("--tune", action="store_true", help="LDS by damping on the queries kept for that")
    parser.add_argument("--recipes", nargs="*", help="these recipes alone")
    parser.add_argument(
        "--retrained", action="store_true", help="take the halves that are there: no retraining"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    protocol = SMOKE if options.smoke else FULL
    prepare(protocol)
    if not options.retrained:
        retrain(protocol)
    train_models(protocol)
    measured = Measured(protocol, reported=not options.tune)
    if options.tune:
        tune(measured, options.recipes or METHODS)
        return
    rows = [
        row for row in (SMOKE_ROWS if options.smoke else ROWS) if row.name in (options.recipes or row.name)
    ]
    report(measured, rows)


class Measured:
    """Indexes of the models, and how well their scores rank the truth."""

    def __init__(self, protocol: Protocol, *, reported: bool) -> None:
        found = np.load(gather(protocol), allow_pickle=False)
        queries = slice(0, protocol.queries) if reported else slice(protocol.queries, None)
        self.subsets_SR: np.ndarray = found["subsets"]
        self.outputs: np.ndarray = found["outputs"][:, :, queries]
        self._reference = f"benchmarks.tasks.sotu.task:{'task' if protocol == FULL else 'smoke'}"
        self._task = make_task(protocol)
        items = self._task.evaluation_set or []
        self._queries = [items[place] for place in range(len(items))][queries]

    def row(self, row: Row) -> tuple[int, list[float], np.ndarray]:
        """Numbers stored for a row, the LDS of each index, and their mean bootstrap interval."""
        single = range(min(REPEATS, len(self._task.checkpoints)))
        groups = [[m] for m in single] if row.checkpoints == 1 else [list(range(row.checkpoints))]
        truth_SQ, found, bounds, width = self.outputs.mean(axis=0), [], [], 0
        for checkpoints in groups:
            scores_QR, width = self._scores(row, checkpoints)
            found.append(float(np.nanmean(lds(scores_QR, self.subsets_SR, truth_SQ))))
            bounds.append(interval(scores_QR, self.subsets_SR, truth_SQ))
        return width, found, np.mean(bounds, axis=0)

    def ceiling(self) -> float:
        """LDS that one seed's outputs reach against the mean of the other seeds'."""
        found = []
        for seed in range(len(self.outputs)):
            others = np.delete(self.outputs, seed, axis=0).mean(axis=0)
            identity = np.eye(len(others), dtype=bool)
            found.append(np.nanmean(lds(self.outputs[seed].T, identity, others)))
        return float(np.mean(found))

    def _scores(self, row: Row, checkpoints: list[int]) -> tuple[np.ndarray, int]:
        """Build an index through the indexer's own path, or fit a baseline, and ask it every query."""
        if row.name in BASELINES:
            fitting = FitOptions(model=load_network(self._task, Member(checkpoints[0])))
            return BASELINES[row.name].fit(self._task, fitting).scores(self._queries), 0
        changes = {**row.changes, "members": {**row.changes.get("members", {}), "checkpoints": checkpoints}}
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "task": self._reference,
                "recipe": {"name": row.name, **changes},
                "index": {"path": folder},
                "build": {"threads": 1, "batch_rows": 16, "block_rows": 128},
            }
            with AttributionIndex.open(build(BuildConfig.model_validate(config)).path) as index:
                states = {member.name: index.states(member.name) for member in index.members}
                features_QK = Featurizer.open(self._task, index.recipe, states).query(self._queries).numpy()
                return Searcher(index).scores(features_QK), index.width


def report(measured: Measured, rows: Sequence[Row]) -> None:
    """Print the table and the ceiling."""
    seeds, halves, queries = measured.outputs.shape
    table = Table(
        "recipe", "checkpoints", "numbers a row", "LDS", "models", "95 % interval",
        title=f"State of the Union, LDS (f = -loss): {halves} halves x {seeds} seeds, {queries} queries",
    )  # fmt: skip
    for row in track(rows, description="indexes"):
        width, found, (low, high) = measured.row(row)
        spread = f"{min(found):.3f} to {max(found):.3f}" if len(found) > 1 else ""
        cells = (f"{width:,}", f"{np.mean(found):.3f}", spread, f"{low:.3f} to {high:.3f}")
        table.add_row(row.label, str(row.checkpoints), *cells)
        print(row.label, row.checkpoints, *cells, flush=True)
    console = Console(width=120)
    console.print(table)
    console.print(f"noise ceiling, one seed against the mean of the others: {measured.ceiling():.3f}")


def tune(measured: Measured, names: Sequence[str]) -> None:
    """Print the LDS of every damping."""
    table = Table("recipe", *map(str, DAMPINGS), title="LDS on the tuning queries, by damping")
    for name in names:
        if name not in {"grad_dot", "grad_cos"}:
            rows = [Row(name, changes={"curvature": {"damping": damping}}) for damping in DAMPINGS]
            table.add_row(name, *[f"{np.mean(measured.row(row)[1]):.3f}" for row in track(rows)])
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
