"""Accuracy on digits: LDS of the recipes against models that were really retrained on random halves.

    python -m benchmarks.accuracy.digits            # about 10 minutes on 2 cores
    python -m benchmarks.accuracy.digits --smoke    # seconds: few models, and no figure means anything
    python -m benchmarks.accuracy.digits --only if_exact datainf --models 1
    python -m benchmarks.accuracy.digits --tune     # how the dampings were chosen, on queries that are not reported

MLP 64-128-64-10 with dropout 0.1, 1,000 training points, 100 queries, 100 random halves x 3 seeds. Training is that of
dattri's MLP benchmark: SGD .01, momentum .9, 50 epochs, batches of 64. f is minus the loss. Each index is measured by
`byline evaluate --truth`. Rows with one checkpoint are means over five indexes, one for each of five independently trained
models, so that no single model decides.
"""

import argparse
import tempfile

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.accuracy.evaluation import (
    Row,
    Score,
    damping_table,
    measure,
    seed_agreement,
)
from benchmarks.report import Targets
from benchmarks.tasks.digits import (
    ALONG,
    FULL,
    MODELS,
    SMOKE,
    keep_models,
    keep_runs,
    keep_truths,
    reference_of,
    truth_of,
)
from benchmarks.tasks.networks import Protocol
from benchmarks.tasks.truth import Subject
from byline.attribution.opening import load_featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.search.searcher import Searcher
from byline_indexer.build.build import build

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


ROWS = [
    Row("grad_dot", "grad_dot"),
    Row("grad_cos", "grad_cos"),
    Row("tracin, last checkpoint", "tracin"),
    Row("tracin, 5 checkpoints of the run", "tracin", along=len(ALONG)),
    Row("representation", "representation"),
    Row("knn_shapley, K = 5", "knn_shapley"),
    Row("knn_shapley, K = 50", "knn_shapley", changes={"neighbors": 50}),
    Row("rps", "rps"),
    Row("trak", "trak"),
    Row("logra 64x32 by layer", "logra", least=0.45),
    Row("grass", "grass"),
    Row("factgrass", "factgrass"),
    Row("kfac 2,048", "kfac"),
    Row("ekfac 2,048", "ekfac", least=0.50),
    Row("ekfac 512", "ekfac", changes={"projection": {"size": 512}}),
    Row("ekfac_pca 1,024", "ekfac_pca", least=0.51),
    Row("ekfac_pca 512", "ekfac_pca", changes={"pca": {"size": 512}}, least=0.50),
    Row("ekfac_pca 1,024, Adam's scale", "ekfac_pca", changes={"scale": {"kind": "second_moment"}}),
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
SMOKE_ROWS = [Row("logra", "logra"), Row("ekfac", "ekfac", 2), Row("knn_shapley", "knn_shapley")]
TOP = 10


def main() -> int:
    """Retrain, build every index and print the table; 1 if a target is missed."""
    options = _options()
    protocol = SMOKE if options.smoke else FULL
    models = min(options.models, MODELS[protocol])
    keep_truths(protocol)
    keep_models(protocol)
    if options.tune:
        tuned = subject_of(protocol, "tuning")
        Console(width=120).print(damping_table(tuned, options.only or TUNED, DAMPINGS, models))
        return 0
    rows = [
        row for row in (SMOKE_ROWS if options.smoke else ROWS) if not options.only or row.name in options.only
    ]
    if any(row.along > 1 for row in rows):
        keep_runs(protocol)
    subject = subject_of(protocol)
    scores = report(subject, rows, models)
    return judge(scores, recall(subject), smoke=options.smoke)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument(
        "--tune", action="store_true", help="LDS by damping on the tuning queries, which are not reported"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="RECIPE", help="rows of these recipes only")
    parser.add_argument(
        "--models", type=int, default=MODELS[FULL], help="models behind each row with one checkpoint"
    )
    return parser.parse_args()


def subject_of(protocol: Protocol, name: str = "task") -> Subject:
    """Name a Task of the digits with its truth."""
    truth = truth_of(protocol, "tuning" if name == "tuning" else "truth")
    return Subject(reference_of(protocol, name), truth, {"threads": torch.get_num_threads()})


def report(subject: Subject, rows: list[Row], models: int) -> list[tuple[Row, Score]]:
    """Measure every row, and print the table and the noise ceiling."""
    table = Table(
        "recipe", "checkpoints", "numbers a row", "LDS", "95 % interval", title="digits, LDS (f = -loss)"
    )
    found = []
    for row in track(rows, description="indexes"):
        score = measure(subject_of(FULL, "runs") if row.along > 1 else subject, row, models)
        table.add_row(row.label, str(row.checkpoints), *score.cells)
        print(row.label, row.checkpoints, *score.cells, sep=" | ", flush=True)
        found.append((row, score))
    console = Console(width=120)
    console.print(table)
    ceiling = seed_agreement(subject.read().outputs_TSE)
    console.print(f"noise ceiling, one seed against the mean of the others: {ceiling:.3f}")
    return found


def judge(scores: list[tuple[Row, Score]], found: float, *, smoke: bool) -> int:
    """Compare the figures with their targets, and return the exit code."""
    targets = Targets()
    targets.at_least(f"compressed search's top {TOP} in exact search's, recall", found, 0.999)
    for row, score in scores:
        if row.least is not None and not smoke:
            targets.at_least(f"LDS of {row.label}, {row.checkpoints} checkpoint", score.value, row.least)
    return 0 if smoke else targets.exit_code()


def recall(subject: Subject) -> float:
    """Measure the share of exact search's top that compressed search returns, over all queries."""
    task, tops = load_task(subject.task).task, []
    recipe = {"name": "ekfac", "members": {"checkpoints": [0]}}
    for search in ("exact", "compressed"):
        with tempfile.TemporaryDirectory() as folder:
            config = subject.config(recipe, folder)
            chosen = config.index.model_copy(update={"search": search})
            built = build(config.model_copy(update={"index": chosen}))
            with AttributionIndex.open(built.path) as index:
                features_QK = load_featurizer(index, task).query(list(task.evaluation_set or ()))
                tops.append(Searcher(index).search(features_QK.numpy(), TOP).rows_QK)
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(*tops, strict=True)]))


if __name__ == "__main__":
    raise SystemExit(main())
