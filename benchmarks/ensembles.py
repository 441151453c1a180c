"""What ensembles cost and bring: five trained models against masks, adapters and forward-only masks of one.

    python -m benchmarks.ensembles                     # digits, then Fashion-MNIST: about 20 minutes on 2 cores
    python -m benchmarks.ensembles --problem digits
    python -m benchmarks.ensembles --smoke             # seconds: no figure means anything
    python -m benchmarks.ensembles --task FILE.py:task --truth truth.npz --name gpt --recipe ekfac

A Task of one's own needs an `evaluation_set` (the queries) and a truth file with `subsets` (bool [subsets, training
points]), `outputs` (minus the loss [seeds, subsets, queries], or [subsets, queries]) of models retrained on them and
`train_seconds` of one checkpoint, trained in the same kind of loop as the adapters are. Rows with one checkpoint are means
over several, one after the other. Training is in units of one checkpoint's, adapters counted by their measured time; a
query's milliseconds are CPU time of one query at a time, feature and search, on one thread.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import digits_task, fashion_task
from benchmarks.digits_truth import Protocol, digits, full_models, retrained_outputs, subsets
from benchmarks.lds import interval, lds
from benchmarks.targets import Targets
from byline.loading import load_task
from byline.query_features import Featurizer
from byline.search.searcher import Searcher
from byline.store.index import AttributionIndex
from byline.task import Item, Task
from indexer.adapters import AdapterOptions, train_adapters
from indexer.build import build
from indexer.config import BuildConfig

FIVE = 5
ADAPTERS = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something to attribute, with its truth."""

    name: str
    reference: str
    queries: Sequence[Item]
    subsets_SR: np.ndarray
    truth_SQ: np.ndarray
    train_seconds: float
    """Of one checkpoint."""
    recipes: tuple[str, ...] = ("ekfac", "ekfac_margin")
    repeats: int = 3
    """Checkpoints that rows with one are the mean of."""
    adapters: AdapterOptions = field(
        default_factory=lambda: AdapterOptions(rank=8, epochs=2, batch=64, learning_rate=5e-3)
    )
    build: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One ensemble."""

    label: str
    checkpoints: int = 1
    members: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    margin: bool | None = None
    """Only for recipes with (True) or without (False) the weight 1 - p; None for all."""


def masks(count: int) -> dict[str, Any]:
    return {"masks": count}


def pca(size: int) -> dict[str, Any]:
    return {"pca": {"size": size}}


ROWS = [
    Row("5 checkpoints", FIVE),
    Row("5 checkpoints, pca 256", FIVE, changes=pca(256)),
    Row("1 checkpoint"),
    Row("1 checkpoint, 10 forward-only masks", members={"forward_masks": 10}, margin=True),
    Row("1 checkpoint x 2 masks", members=masks(2)),
    Row("1 checkpoint x 5 masks", members=masks(5)),
    Row("1 checkpoint x 10 masks", members=masks(10)),
    Row("1 checkpoint x 20 masks", members=masks(20)),
    Row("1 x 10 masks, pca 1,024", members=masks(10), changes=pca(1024)),
    Row("1 x 10 masks, pca 512", members=masks(10), changes=pca(512)),
    Row("1 x 10 masks, pca 256", members=masks(10), changes=pca(256)),
    Row("1 x 10 masks, pca 128", members=masks(10), changes=pca(128)),
    Row(
        "1 x 10 masks x 1,024, pca 256",
        members=masks(10),
        changes={**pca(256), "projection": {"size": 1024}},
    ),
    Row("2 checkpoints", 2),
    Row("2 checkpoints x 5 masks", 2, members=masks(5)),
    Row("2 x 5 masks, pca 256", 2, members=masks(5), changes=pca(256)),
    Row("1 checkpoint x 5 adapters", members={"adapters": ADAPTERS}),
    Row("1 x 5 adapters, pca 256", members={"adapters": ADAPTERS}, changes=pca(256)),
]


@dataclass(kw_only=True)
class Result:
    """What one row costs and brings."""

    recipe: str
    label: str
    lds: float
    low: float
    high: float
    training: float
    """In units of one checkpoint's."""
    passes: int
    """Gradients a query takes."""
    milliseconds: float
    """Of one query."""
    size: int
    """Bytes of the index."""


class Bench:
    """Measures ensembles of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._folder = digits_task.CACHE / f"ensembles-{problem.name}"
        self._adapter_seconds = 0.0
        self.reference = problem.reference
        self.available = len(load_task(problem.reference).task.checkpoints)

    def adapt(self) -> None:
        """Train adapters of the first checkpoints, once, and take a Task that lists them."""
        problem = self._problem
        task = load_task(problem.reference).task
        folders, seconds = [], []
        for checkpoint in range(min(problem.repeats, self.available)):
            out = self._folder / f"c{checkpoint}"
            start = time.process_time()
            folders.append(train_adapters(task, checkpoint, problem.adapters, out, count=ADAPTERS))
            record = self._folder / f"c{checkpoint}.json"
            if not record.exists():
                record.write_text(json.dumps((time.process_time() - start) / ADAPTERS))
            seconds.append(json.loads(record.read_text()))
        self._adapter_seconds = float(np.median(seconds))
        listed = [[str(folder) for folder in each] for each in folders]
        file = self._folder / "adapted.py"
        file.write_text(
            "from dataclasses import replace\nfrom byline.loading import load_task\n\n\ndef task():\n"
            f"    task, adapters = load_task({problem.reference!r}).task, {listed!r}\n"
            "    given = [*adapters, *[[]] * len(task.checkpoints)]\n"
            "    checkpoints = [replace(c, adapters=a) for c, a in zip(task.checkpoints, given, strict=False)]\n"
            "    return replace(task, checkpoints=checkpoints)\n"
        )
        self.reference = f"{file}:task"

    def row(self, recipe: str, row: Row) -> Result:
        """Build, ask and compare with the truth."""
        repeats = min(self._problem.repeats, self.available) if row.checkpoints == 1 else 1
        groups = [[c] for c in range(repeats)] if row.checkpoints == 1 else [list(range(row.checkpoints))]
        found = [self._measured(recipe, row, group) for group in groups]
        scores, bounds, costs = zip(*found, strict=True)
        low, high = np.mean(bounds, axis=0)
        adapters = row.members.get("adapters", 0)
        training = row.checkpoints * (1 + adapters * self._adapter_seconds / self._problem.train_seconds)
        result = Result(
            recipe=recipe,
            label=row.label,
            lds=float(np.mean(scores)),
            low=float(low),
            high=float(high),
            training=training,
            passes=row.checkpoints * max(1, row.members.get("masks", 0)) * max(1, adapters),
            milliseconds=float(np.median([cost[0] for cost in costs])),
            size=int(np.median([cost[1] for cost in costs])),
        )
        print(result, flush=True)
        return result

    def _measured(
        self, recipe: str, row: Row, checkpoints: list[int]
    ) -> tuple[float, tuple[float, float], tuple[float, int]]:
        problem = self._problem
        with self._built(recipe, row, checkpoints) as (index, featurizer):
            searcher = Searcher(index, threads=1)
            features = [featurizer.query([query]) for query in problem.queries]
            start = time.process_time()
            timed = problem.queries[: min(20, len(problem.queries))]
            for query in timed:
                searcher.search(featurizer.query([query]), 10)
            milliseconds = (time.process_time() - start) / len(timed) * 1e3
            scores_QR = searcher.scores(torch.cat(features))
            size = sum(path.stat().st_size for path in index.path.rglob("*") if path.is_file())
        score = float(np.nanmean(lds(scores_QR, problem.subsets_SR, problem.truth_SQ)))
        bounds = interval(scores_QR, problem.subsets_SR, problem.truth_SQ, draws=100)
        return score, bounds, (milliseconds, size)

    @contextmanager
    def _built(
        self, recipe: str, row: Row, checkpoints: list[int]
    ) -> Iterator[tuple[AttributionIndex, Featurizer]]:
        members = {**row.members, "checkpoints": checkpoints}
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "task": self.reference,
                "recipe": {"name": recipe, **row.changes, "members": members},
                "index": {"path": folder},
                "build": {"threads": torch.get_num_threads(), **self._problem.build},
            }
            path = build(BuildConfig.model_validate(config)).path
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                with AttributionIndex.open(path) as index:
                    task = load_task(self.reference).task
                    states = {member.name: index.states(member.name) for member in index.members}
                    yield index, Featurizer.open(task, index.recipe, states)
            finally:
                torch.set_num_threads(threads)


def digits_problem(protocol: Protocol = digits_task.FULL) -> Problem:
    """The digits of `benchmarks.digits`."""
    data = digits(protocol)
    outputs = retrained_outputs(data, protocol, digits_task.CACHE)
    count = FIVE if protocol == digits_task.FULL else 2
    digits_task.keep(full_models(data, protocol, count), protocol)
    full = protocol == digits_task.FULL
    reference = f"benchmarks.digits_task:{'task' if full else 'smoke'}"
    seconds = plain_seconds(load_task(reference).task, protocol.epochs, protocol.batch)
    queries = list(zip(data.query_x, data.query_y, strict=True))[: protocol.queries]
    return Problem(
        name="digits" if full else "smoke",
        reference=reference,
        queries=queries,
        subsets_SR=subsets(protocol),
        truth_SQ=outputs.mean(axis=0)[:, : protocol.queries],
        train_seconds=seconds,
        repeats=FIVE if full else 1,
    )


def fashion_problem() -> Problem:
    """4,000 images of Fashion-MNIST."""
    outputs = fashion_task.truth()
    task, protocol = fashion_task.task(), fashion_task.FULL
    seconds = plain_seconds(task, protocol.epochs, protocol.batch)
    return Problem(
        name="fashion",
        reference="benchmarks.fashion_task:task",
        queries=_queries(task),
        subsets_SR=subsets(fashion_task.FULL),
        truth_SQ=outputs.mean(axis=0),
        train_seconds=seconds,
        repeats=2,
    )


def given_problem(options: argparse.Namespace) -> Problem:
    """A Task with a file of retrained outputs."""
    found = np.load(options.truth, allow_pickle=False)
    outputs = found["outputs"]
    return Problem(
        name=options.name,
        reference=options.task,
        queries=_queries(load_task(options.task).task)[: options.queries],
        subsets_SR=found["subsets"].astype(bool),
        truth_SQ=(outputs.mean(axis=0) if outputs.ndim == 3 else outputs)[:, : options.queries],
        train_seconds=float(found["train_seconds"]),
        recipes=tuple(options.recipe or ["ekfac"]),
        adapters=AdapterOptions(rank=8, epochs=1, batch=options.batch, learning_rate=options.learning_rate),
        build={"batch_rows": options.batch, "block_rows": options.batch * 8},
    )


def _queries(task: Task) -> list[Item]:
    items = task.evaluation_set or []
    return [items[place] for place in range(len(items))]


def plain_seconds(task: Task, epochs: int, batch: int) -> float:
    """How long a training of all parameters takes in the loop that adapters are trained in: one epoch, times all."""
    model = task.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rows = len(task.train_set)
    start = time.process_time()
    for first in range(0, rows, batch):
        items = [task.train_set[row] for row in range(first, min(first + batch, rows))]
        optimiser.zero_grad(set_to_none=True)
        task.loss(model, task.collate(items)).mean().backward()
        optimiser.step()
    return (time.process_time() - start) * epochs


def show(problem: Problem, results: Sequence[Result], console: Console) -> None:
    """Print the table of one problem."""
    rows, points = len(problem.queries), problem.subsets_SR.shape[1]
    table = Table(
        title=f"{problem.name}: {points:,} training points, {rows} queries, {len(problem.subsets_SR)} subsets"
    )
    for column in ("recipe", "ensemble", "LDS", "95 %", "training", "passes", "ms a query", "MB"):
        table.add_column(column, justify="left" if column in {"recipe", "ensemble"} else "right")
    for each in results:
        table.add_row(
            each.recipe,
            each.label,
            f"{each.lds:.3f}",
            f"{each.low:.3f}-{each.high:.3f}",
            f"{each.training:.2f}",
            str(each.passes),
            f"{each.milliseconds:.1f}",
            f"{each.size / 1e6:.1f}",
        )
    console.print(table)


def judge(problem: Problem, results: Sequence[Result], targets: Targets) -> None:
    """The best that meets each saving, held to the LDS of five checkpoints of the same recipe."""
    for recipe in problem.recipes:
        own = [each for each in results if each.recipe == recipe]
        five = own[0]
        savings = {
            "training -80 %": [e for e in own if e.training <= 0.2 * five.training + 1e-9],
            "gradient passes -60 %": [e for e in own if e.passes <= 0.4 * five.passes],
            "milliseconds -60 %": [e for e in own if e.milliseconds <= 0.4 * five.milliseconds],
            "bytes -80 %": [e for e in own if e.size <= 0.2 * five.size],
            "training -80 % and bytes -80 %": [
                e for e in own if e.training <= 0.2 * five.training + 1e-9 and e.size <= 0.2 * five.size
            ],
        }
        for words, meeting in savings.items():
            best = max(meeting, key=lambda each: each.lds, default=None)
            if best is not None:
                targets.at_least(
                    f"{problem.name}, {recipe}, {words}: LDS of {best.label}", best.lds, five.lds
                )
            else:
                targets.at_least(f"{problem.name}, {recipe}, {words}: nothing saves so much", 0.0, five.lds)


def main() -> int:
    """Measure every problem that was asked for; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run that shows that it works")
    parser.add_argument("--problem", choices=["digits", "fashion"], help="only this one")
    parser.add_argument("--task", help="a Task of one's own")
    parser.add_argument("--truth", type=Path, help="its truth file")
    parser.add_argument("--name", default="given", help="how it is called")
    parser.add_argument("--recipe", action="append", help="recipes to measure it with")
    parser.add_argument("--repeats", type=int, help="checkpoints that rows with one are the mean of")
    parser.add_argument("--queries", type=int, help="only the first so many of the evaluation set")
    parser.add_argument("--batch", type=int, default=16, help="rows differentiated, or trained on, together")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of the adapters")
    options = parser.parse_args()
    torch.set_num_threads(1)  # networks this small gain nothing by more
    if options.smoke:
        problems = [digits_problem(digits_task.SMOKE)]
    elif options.task:
        problems = [given_problem(options)]
    else:
        wanted = [options.problem] if options.problem else ["digits", "fashion"]
        problems = [digits_problem() if name == "digits" else fashion_problem() for name in wanted]
    if options.repeats:
        problems = [replace(problem, repeats=options.repeats) for problem in problems]
    targets, console = Targets(), Console(width=140)
    for problem in problems:
        bench = Bench(problem)
        bench.adapt()
        rows = [row for row in ROWS if row.checkpoints <= bench.available]
        if options.smoke:
            rows = [rows[0], *(row for row in rows if row.label in SMOKE_ROWS)]
        results = [
            bench.row(recipe, row)
            for recipe in problem.recipes
            for row in track(rows, description=f"{problem.name}, {recipe}")
            if row.margin is None or row.margin == (recipe == "ekfac_margin")
        ]
        show(problem, results, console)
        out = digits_task.CACHE / f"ensembles-{problem.name}.json"
        out.write_text(json.dumps([vars(each) for each in results], indent=1))
        judge(problem, results, targets)
    return 0 if options.smoke else targets.exit_code()


SMOKE_ROWS = {"1 checkpoint, 10 forward-only masks", "1 checkpoint x 2 masks", "1 x 5 adapters, pca 256"}


if __name__ == "__main__":
    raise SystemExit(main())
