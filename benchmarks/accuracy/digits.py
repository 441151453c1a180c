"""Accuracy on digits: LDS of the recipes against models really retrained on random halves.

    python -m benchmarks.accuracy.digits            # about 5 minutes on 2 cores
    python -m benchmarks.accuracy.digits --smoke    # seconds: fewer models, no figure means anything
    python -m benchmarks.accuracy.digits --only if_exact datainf --models 1
    python -m benchmarks.accuracy.digits --tune     # how the dampings were chosen, on queries that are not reported

MLP 64-128-64-10 with dropout 0.1, 1,000 training points, 100 queries, 100 random halves x 3 seeds, trained as
dattri's benchmark trains its MLP (SGD .01, momentum .9, 50 epochs, batches of 64). f = minus the loss. Rows with
one checkpoint are the mean over five indexes, one for each of five independently trained models, so that no
single model's luck decides.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

from benchmarks.accuracy.lds import interval, lds
from benchmarks.report import Targets
from benchmarks.tasks import CACHE
from benchmarks.tasks.digits import ALONG, FULL, SMOKE, keep, keep_runs, runs, smoke, task
from benchmarks.tasks.networks import Protocol, digits, full_models, retrained_outputs, subsets
from byline.baselines import BASELINES, FitOptions
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.network import load_network
from byline.models.representations import Representations
from byline.search.searcher import Searcher
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

MODELS = 5
TUNED = [
    "trak",
    "logra",
    "grass",
    "factgrass",
    "kfac",
    "ekfac",
    "ekfac_margin",
    "datainf",
    "rif",
    "relatif",
    "trackstar",
    "if_cg",
    "if_lissa",
    "arnoldi",
]
DAMPINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe with changes, or a baseline with its options, by how many checkpoints."""

    label: str
    name: str
    checkpoints: int = 1
    changes: dict[str, Any] = field(default_factory=dict)
    search: str = "exact"
    run: bool = False
    """Whether the checkpoints of one run stand in for its last one."""
    least: float | None = None
    """LDS that it must reach."""


ROWS = [
    Row("grad_dot", "grad_dot"),
    Row("grad_cos", "grad_cos"),
    Row("tracin, last checkpoint", "tracin"),
    Row("tracin, 5 checkpoints of the run", "tracin", run=True),
    Row("representation", "representation"),
    Row("knn_shapley, K = 5", "knn_shapley"),
    Row("knn_shapley, K = 50", "knn_shapley", changes={"neighbours": 50}),
    Row("rps", "rps"),
    Row("trak", "trak"),
    Row("logra 64x32 by layer", "logra", least=0.45),
    Row("grass", "grass"),
    Row("factgrass", "factgrass"),
    Row("kfac 2,048", "kfac"),
    Row("ekfac 2,048", "ekfac", least=0.50),
    Row("ekfac 512", "ekfac", changes={"projection": {"size": 512}}),
    Row("ekfac 2,048, fitted on 500 rows", "ekfac", changes={"curvature": {"sample": 500}}),
    Row("ekfac 2,048, fitted on 250 rows", "ekfac", changes={"curvature": {"sample": 250}}),
    Row("ekfac 2,048, fitted on 125 rows", "ekfac", changes={"curvature": {"sample": 125}}),
    Row("ekfac 2,048, 5 masks", "ekfac", changes={"members": {"masks": 5}}),
    Row("ekfac 2,048, 10 masks", "ekfac", changes={"members": {"masks": 10}}),
    Row("ekfac_margin 2,048", "ekfac_margin"),
    Row("ekfac_margin 2,048, 10 masks", "ekfac_margin", changes={"members": {"masks": 10}}),
    Row("logra, sampled labels", "logra", changes={"curvature": {"labels": "sampled"}}),
    Row("logra, all classes", "logra", changes={"curvature": {"labels": "exact"}}),
    Row("ekfac, sampled labels", "ekfac", changes={"curvature": {"labels": "sampled"}}),
    Row("ekfac, all classes", "ekfac", changes={"curvature": {"labels": "exact"}}),
    Row("if_exact, GGN", "if_exact"),
    Row("if_exact, GGN, damping 30", "if_exact", changes={"curvature": {"damping": 30.0}}),
    Row(
        "if_exact, Hessian of the last layer",
        "if_exact",
        changes={"layers": "last", "sides": "one_sided", "curvature": {"matrix": "hessian"}},
    ),
    Row("if_exact, GGN of the last layer", "if_exact", changes={"layers": "last"}),
    Row("if_cg 4,096", "if_cg"),
    Row("if_cg, not projected", "if_cg", changes={"projection": {"kind": "identity"}}),
    Row(
        "if_cg, not projected, Hessian",
        "if_cg",
        changes={"projection": {"kind": "identity"}, "curvature": {"matrix": "hessian", "damping": 100}},
    ),
    Row("if_lissa 4,096", "if_lissa"),
    Row("arnoldi 64", "arnoldi"),
    Row("arnoldi 64, GGN", "arnoldi", changes={"curvature": {"matrix": "ggn"}}),
    Row("datainf", "datainf"),
    Row("rif", "rif"),
    Row("relatif", "relatif"),
    Row("trackstar", "trackstar"),
    Row("trackstar, no unit norm", "trackstar", changes={"unit_norm": False}),
    Row("less", "less", changes={"members": {"weights": "equal"}}),
    Row("less, no momentum", "less", changes={"members": {"weights": "equal"}, "scale": {"beta1": 0.0}}),
    Row("trak", "trak", MODELS),
    Row("logra 64x32 by layer", "logra", MODELS),
    Row("ekfac 2,048", "ekfac", MODELS),
    Row("ekfac_margin 2,048", "ekfac_margin", MODELS),
]


def main() -> int:
    """Retrain, build every index, and print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run that shows that it works")
    parser.add_argument(
        "--tune", action="store_true", help="LDS by damping on the tuning queries, which are not reported"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="RECIPE", help="these recipes' rows")
    parser.add_argument("--models", type=int, default=MODELS, help="models that rows with one checkpoint use")
    options = parser.parse_args()
    tiny = options.smoke
    protocol, trained = (SMOKE, 2) if tiny else (FULL, MODELS)
    models = min(options.models, trained)
    outputs = retrained_outputs(digits(protocol), protocol, CACHE)
    keep(full_models(digits(protocol), protocol, trained), protocol)
    keep_runs(protocol, trained)
    reported = slice(0, protocol.queries)
    if options.tune:
        tune(Measured(protocol, outputs, models, slice(protocol.queries, None)), options.only or TUNED)
        return 0
    measured = Measured(protocol, outputs, models, reported)
    table = Table(
        "recipe", "checkpoints", "numbers a row", "LDS", "95 % interval", title="digits, LDS (f = -loss)"
    )
    small = [Row("logra", "logra"), Row("ekfac", "ekfac", 2), Row("knn_shapley", "knn_shapley")]
    rows = small if tiny else ROWS
    rows = [row for row in rows if not options.only or row.name in options.only]
    found: list[tuple[Row, float]] = []
    for row in track(rows, description="indexes"):
        cells = measured.row(row)
        table.add_row(row.label, str(row.checkpoints), *cells)
        print(row.label, row.checkpoints, *cells, sep=" | ", flush=True)
        found.append((row, float(cells[1].split()[0])))
    console = Console(width=120)
    console.print(table)
    console.print(
        f"noise ceiling, one seed against the mean of the others: {ceiling(outputs[:, :, reported]):.3f}"
    )
    targets = Targets()
    targets.at_least("compressed search's top 10 in exact search's, recall", measured.recall(), 0.999)
    for row, score in found:
        if row.least is not None and not tiny:
            targets.at_least(f"LDS of {row.label}, {row.checkpoints} checkpoint", score, row.least)
    return 0 if tiny else targets.exit_code()


class Measured:
    """Indexes of the digits models, and how well their scores rank the truth."""

    def __init__(self, protocol: Protocol, outputs: np.ndarray, models: int, queries: slice) -> None:
        data = digits(protocol)
        self._reference = f"benchmarks.tasks.digits:{'task' if protocol == FULL else 'smoke'}"
        self._task = task() if protocol == FULL else smoke()
        self._queries = list(zip(data.query_x, data.query_y, strict=True))[queries]
        self._models = models
        self._subsets_SR = subsets(protocol)
        self._truth_SQ = outputs.mean(axis=0)[:, queries]

    def row(self, row: Row) -> tuple[str, str, str]:
        """Numbers stored for a row, mean LDS, and a two-way bootstrap interval over queries and subsets."""
        groups = (
            [[m] for m in range(self._models)] if row.checkpoints == 1 else [list(range(row.checkpoints))]
        )
        if row.run:
            groups = [list(range(m * len(ALONG), (m + 1) * len(ALONG))) for m in range(self._models)]
        found: list[float] = []
        bounds: list[tuple[float, float]] = []
        for checkpoints in groups:
            scores_QR, width = self._scores(row, checkpoints)
            found.append(float(np.nanmean(lds(scores_QR, self._subsets_SR, self._truth_SQ))))
            bounds.append(interval(scores_QR, self._subsets_SR, self._truth_SQ))
        spread = f" (models {min(found):.3f} to {max(found):.3f})" if len(found) > 1 else ""
        low, high = np.mean(bounds, axis=0)
        return f"{width:,}", f"{np.mean(found):.3f}{spread}", f"{low:.3f} to {high:.3f}"

    def _scores(self, row: Row, checkpoints: list[int]) -> tuple[np.ndarray, int]:
        """Scores of every training point for every query, and how many numbers a row they came from."""
        if row.name in BASELINES:
            network = load_network(self._task, Member(checkpoints[0]))
            fitted = BASELINES[row.name].fit(self._task, FitOptions(model=network, **row.changes))
            width = Representations(self._task, network, purpose=row.name).of(self._queries[:1]).shape[1]
            return fitted.scores(self._queries), width
        with self._built(row, checkpoints) as (index, features_QK):
            return Searcher(index).scores(features_QK), index.width

    def recall(self) -> float:
        """Share of exact search's top 10 that compressed search returns, over all queries."""
        tops = []
        for search in ("exact", "compressed"):
            with self._built(Row("", "ekfac", search=search), [0]) as (index, features_QK):
                tops.append(Searcher(index).search(features_QK, 10).rows_QK)
        return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(*tops, strict=True)]))

    @contextmanager
    def _built(self, row: Row, checkpoints: list[int]) -> Iterator[tuple[AttributionIndex, np.ndarray]]:
        """Build an index through the indexer's own path, with the features of all queries."""
        changes = {**row.changes, "members": {**row.changes.get("members", {}), "checkpoints": checkpoints}}
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "task": "benchmarks.tasks.digits:runs" if row.run else self._reference,
                "recipe": {"name": row.name, **changes},
                "index": {"path": folder, "search": row.search},
                "build": {"threads": torch.get_num_threads()},
            }
            with AttributionIndex.open(build(BuildConfig.model_validate(config)).path) as index:
                states = {member.name: index.states(member.name) for member in index.members}
                yield (
                    index,
                    Featurizer.open(runs() if row.run else self._task, index.recipe, states)
                    .query(self._queries)
                    .numpy(),
                )


def tune(measured: Measured, recipes: list[str]) -> None:
    """Print the LDS of every damping: how the recipes' defaults were chosen."""
    table = Table("recipe", *map(str, DAMPINGS), title="LDS on the tuning queries, by damping")
    for name in recipes:
        rows = [Row(name, name, changes={"curvature": {"damping": damping}}) for damping in DAMPINGS]
        table.add_row(name, *[measured.row(row)[1].split()[0] for row in rows])
    Console(width=120).print(table)


def ceiling(outputs: np.ndarray) -> float:
    """Spearman correlation over the subsets between one seed's outputs and the mean of the others'."""
    found = [
        spearmanr(outputs[seed][:, q], np.delete(outputs, seed, axis=0).mean(axis=0)[:, q]).statistic
        for seed in range(outputs.shape[0])
        for q in range(outputs.shape[2])
    ]
    return float(np.nanmean(found))


if __name__ == "__main__":
    raise SystemExit(main())
