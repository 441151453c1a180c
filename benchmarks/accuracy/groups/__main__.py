"""Groups of training points (GGDA): costs and accuracy, against single examples and real retraining.

    python -m benchmarks.accuracy.groups                     # both problems: about 20 minutes on 2 cores
    python -m benchmarks.accuracy.groups --problem tabular
    python -m benchmarks.accuracy.groups --smoke             # seconds: no figure means anything

Image: Fashion-MNIST, 4,096 points, MLP 784-128-64-10. Tabular: Adult, 8,192 people, MLP 89-64-32-2. Times are CPU seconds of
one thread and hold everything: reading, checks, grouping, curvature, writing. LDS: 100 queries, halves of the groups.
"""

import argparse
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.evaluation import evaluated
from benchmarks.accuracy.groups.drill import drilled
from benchmarks.accuracy.groups.removal import budgets, held_out_losses, removed
from benchmarks.report import Targets
from benchmarks.speed.group_indexes import RECIPES, Bench, Cost
from benchmarks.speed.group_loop import Loop
from benchmarks.speed.group_scan import scans
from benchmarks.tasks.groups import PROBLEMS
from byline.groups import GroupPartition

KMEANS = ("inputs", "representations", "last_layer_gradients")
TABLES = ("sizes", "accuracy", "groupings", "micro_batches", "removal", "drill_down")
LEAST_GROUPS = 8
"""Smallest number of groups with enough halves for an LDS."""


class Report:
    """Measures one problem, table by table."""

    def __init__(
        self, bench: Bench, console: Console, targets: Targets, recipes: list[str], *, tiny: bool
    ) -> None:
        self._bench, self._console, self._targets = bench, console, targets
        self._problem, self._recipes, self._tiny = bench.problem, recipes, tiny
        self._sizes = (1, 4, 16) if tiny else (1, 4, 16, 64, 256, 1024)
        self._repeats = 1 if tiny else 4
        self._main = 4 if tiny else 64
        self._subsets, self._seeds = (4, 1) if tiny else (32, 2)

    def run(self, tables: list[str]) -> None:
        """Print tables."""
        for name in tables:
            getattr(self, name)()

    def sizes(self) -> None:
        """Cost by size, the fast build, random groups."""
        table = self._table(
            "cost by size, build = fast, by = random",
            "recipe", "size", "groups", "build, s", "of it grouping", "loop / build", "points / build",
            "vectors, kB", "index, kB", "search, ms",
        )  # fmt: skip
        for name in self._recipes:
            features, whole = Loop(self._problem, self._bench.task, name, 20 if self._tiny else 200).seconds()
            _, cost = self._bench.measured(name, repeats=self._repeats)
            table.add_row(
                name, "loop", "", f"{whole:.2f} ({features:.2f} without fit)", "", "", "", "", "", ""
            )
            table.add_row(
                name, "points", "", f"{cost.build:.2f}", "", f"{whole / cost.build:.1f}", "1.0", *sized(cost)
            )
            for size in self._sizes:
                self._size_row(table, name, size, whole, cost)
        self._console.print(table)

    def _size_row(self, table: Table, name: str, size: int, loop: float, points: Cost) -> None:
        options = by_random(size)
        seconds, members = self._bench.grouping(options)
        _, cost = self._bench.measured(name, options)
        table.add_row(
            name, str(size), str(len(members)), f"{cost.build:.2f}", f"{seconds:.3f}", f"{loop / cost.build:.1f}",
            f"{points.build / cost.build:.1f}", *sized(cost),
        )  # fmt: skip
        if size == self._main and not self._tiny:
            where = f"{self._problem.name}, {name}, groups of {size}"
            self._targets.at_least(f"loop's time over the build's, {where}", loop / cost.build, 10)
            self._targets.at_least(f"bytes of vectors, {where}", points.vectors / cost.vectors, size * 0.95)

    def accuracy(self) -> None:
        """LDS on halves of random groups, by size."""
        table = self._table(
            "LDS on halves of random groups",
            "recipe",
            "size",
            "groups, fast",
            "95 % interval",
            "points summed",
        )
        for name in self._recipes:
            for size in self._sizes:
                _, members = self._bench.grouping(by_random(size))
                if len(members) >= LEAST_GROUPS:
                    table.add_row(name, str(size), *self._lds(name, by_random(size), members))
        self._console.print(table)

    def groupings(self) -> None:
        """Groupings of one size, compared."""
        table = self._table(
            f"groupings, mean size {self._main}, build = fast",
            "grouping", "groups", "largest", "grouping, s", "recipe", "build, s", "LDS", "95 % interval", "points summed",
        )  # fmt: skip
        for options in self._groupings():
            seconds, members = self._bench.grouping(options)
            for name in self._recipes:
                _, cost = self._bench.measured(name, options)
                table.add_row(
                    options.get("of", "random"), str(len(members)), str(members.sizes.max()), f"{seconds:.2f}", name,
                    f"{cost.build:.2f}", *self._lds(name, options, members),
                )  # fmt: skip
        self._console.print(table)

    def micro_batches(self) -> None:
        """Cost and LDS of the fast build's curvature."""
        table = self._table(
            f"micro-batches, random groups of {self._main}",
            "recipe",
            "curvature",
            "build, s",
            "LDS",
            "95 % interval",
        )
        _, members = self._bench.grouping(by_random(self._main))
        for name in [each for each in self._recipes if each != "tracin"]:
            for size in (None, 1, 8, 64):
                changes = {"build": "sums"} if size is None else {"micro_batch": size}
                options = by_random(self._main) | changes
                _, cost = self._bench.measured(name, options)
                words = "build = sums: every point" if size is None else f"micro_batch = {size}"
                table.add_row(name, words, f"{cost.build:.2f}", *self._lds(name, options, members)[:2])
        self._console.print(table)

    def removal(self) -> None:
        """Held-out loss after retraining without the most helpful groups."""
        kinds: list[tuple[str, str, GroupPartition, np.ndarray]] = []
        rows = self._problem.protocol.train
        for name in self._recipes:
            alone = GroupPartition.of(np.arange(rows))
            kinds.append((name, "points", alone, self._bench.scores(self._bench.published(name))[1]))
            for options in self._groupings():
                _, members = self._bench.grouping(options)
                path = self._bench.published(name, options)
                kinds.append((name, options.get("of", "random"), members, self._bench.scores(path)[1]))
        amounts = budgets(self._problem)
        rng = np.random.default_rng(3)
        lists = [np.zeros(0, dtype=np.int64)]
        lists += [rng.permutation(rows)[:amount] for amount in amounts]
        lists += [removed(members, scores, amount) for _, _, members, scores in kinds for amount in amounts]
        means, errors = held_out_losses(self._problem, lists, 2 if self._tiny else 3)
        cells = [f"{mean:.4f} ± {error:.4f}" for mean, error in zip(means, errors, strict=True)]
        heads = [f"{amount} ({amount / rows:.1%})" for amount in amounts]
        table = self._table("held-out loss without the most helpful", "recipe", "removed by", *heads)
        table.add_row("no removal", "", *[cells[0]] * 3)
        table.add_row("random points", "", *cells[1:4])
        for place, (name, words, _, _) in enumerate(kinds):
            table.add_row(name, words, *cells[4 + 3 * place : 7 + 3 * place])
        self._console.print(table)

    def drill_down(self) -> None:
        """Overlap with the index of points, and cost."""
        table = self._table(
            f"drill-down, mean size {self._main}, against the top 10 of the index of points",
            "recipe", "grouping", "drill_groups", "points searched", "overlap", "first, ms", "again, ms", "groups alone, ms",
        )  # fmt: skip
        depths = (2, 4) if self._tiny else (5, 10, 20)
        for name in self._recipes:
            for options in self._groupings()[::3]:
                paths = self._bench.published(name), self._bench.published(name, options)
                for found in drilled(self._problem, *paths, depths, 4 if self._tiny else 40):
                    table.add_row(
                        name, options.get("of", "random"), str(found.groups), f"{found.searched:.1%}",
                        f"{found.overlap:.2f}", f"{found.first:.1f}", f"{found.again:.1f}", f"{found.plain:.1f}",
                    )  # fmt: skip
        self._console.print(table)

    def _groupings(self) -> list[dict[str, Any]]:
        clustered = [by_random(self._main) | {"by": "kmeans", "of": of} for of in KMEANS]
        return [by_random(self._main), *clustered]

    def _lds(self, name: str, options: dict[str, Any], members: GroupPartition) -> tuple[str, str, str]:
        """LDS of groups with its interval, and of single points' scores added up, on the same truth."""
        truth = self._problem.truth(members, self._subsets, self._seeds)
        groups, points = (
            evaluated(self._bench.config(name, each), truth, self._problem.folder / "evaluation")
            for each in (options, None)
        )
        return f"{groups.value:.3f}", f"{groups.low:.3f} to {groups.high:.3f}", f"{points.value:.3f}"

    def _table(self, title: str, *columns: str) -> Table:
        return Table(*columns, title=f"{self._problem.name}: {title}")


def by_random(size: int) -> dict[str, Any]:
    """Options of a fast build of random groups."""
    return {"by": "random", "size": size, "build": "fast"}


def sized(cost: Cost) -> tuple[str, str, str]:
    """Cells of bytes and search."""
    return f"{cost.vectors / 1e3:,.0f}", f"{cost.whole / 1e3:,.0f}", f"{cost.search:.2f}"


def main() -> int:
    """Measure everything; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--problem", choices=["image", "tabular"])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--only", nargs="+", choices=[*TABLES, "scans"], help="these tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tiny, console, targets = options.smoke, Console(width=150), Targets()
    names = ["smoke"] if tiny else [options.problem] if options.problem else ["image", "tabular"]
    for name in names:
        report = Report(Bench(PROBLEMS[name]), console, targets, options.recipes, tiny=tiny)
        report.run([table for table in TABLES if not options.only or table in options.only])
    if not options.only or "scans" in options.only:
        scans(console, targets, tiny=tiny)
    return 0 if tiny else targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
