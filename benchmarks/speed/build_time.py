"""Build time over plain forward and backward passes of the same data: same batches, same thread, one run.

    python -m benchmarks.speed.build_time            # about 8 minutes on one core
    python -m benchmarks.speed.build_time --smoke

The plain passes differentiate the mean loss of every batch with respect to all parameters, as a training step
does (no optimizer step). A build's time is everything that `byline build` does: reading and digesting the data,
checking the gradients against autograd, every pass, curvature, features, search file, checksums. Plain passes run
before and after each build, and their mean counts, so that a machine that slows down does so for both. Seconds are of the
processor.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.report import Targets
from benchmarks.tasks.digits import FULL, keep_models
from byline.loading.task_file import load_task
from byline.models.checkpoints import load_checkpoint
from byline.models.device import to_device
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

BATCH = 32


@dataclass(frozen=True)
class Case:
    """One build to time."""

    task: str
    recipe: dict[str, Any]
    words: str
    most: float | None = None
    """Largest ratio of the build's time to that of the plain passes."""


GPT = "benchmarks.tasks.gpt:texts_2048"
MLP = "benchmarks.tasks.digits:task"
CASES = [
    Case(
        GPT, {"name": "logra", "projection": {"size_in": 16, "size_out": 16}}, "logra, 16 x 16 a block", 1.6
    ),
    Case(GPT, {"name": "ekfac", "curvature": {"sample": 256}}, "ekfac 2,048, fitted on 256 (1/8)", 2.5),
    Case(
        GPT,
        {"name": "ekfac_pca", "curvature": {"sample": 256}, "pca": {"sample": 1024}},
        "ekfac_pca, fitted on 256 (1/8), PCA on 1,024",
    ),
    Case(GPT, {"name": "ekfac", "curvature": {"sample": 512}}, "ekfac 2,048, fitted on 512 (1/4)"),
    Case(GPT, {"name": "grad_dot"}, "grad_dot, SJLT 4,096"),
    Case(MLP, {"name": "logra"}, "logra, 64 x 32 a block"),
    Case(MLP, {"name": "ekfac"}, "ekfac 2,048, fitted on all"),
]
SMOKE_CASES = [Case("benchmarks.tasks.gpt:texts_64", CASES[0].recipe, CASES[0].words)]


@dataclass
class Phases:
    """An observer that adds up the seconds of every phase of a build."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.process_time)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Add the time since the last call to this phase."""
        del total
        now = time.process_time()
        if done:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def message(self, message: str) -> None:
        """Ignore messages."""


def main() -> int:
    """Measure every case and print a table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    tiny = parser.parse_args().smoke
    torch.set_num_threads(1)
    if not tiny:
        keep_models(FULL)
    table = Table("model, rows", "recipe", "plain, s", "build, s", "ratio", "where the build's time goes")
    ratios: list[tuple[Case, float]] = []
    for case in SMOKE_CASES if tiny else CASES:
        cells = measure(case)
        table.add_row(*cells)
        ratios.append((case, float(cells[4])))
    Console(width=150).print(table)
    targets = Targets()
    for case, ratio in ratios:
        if case.most is not None and not tiny:
            targets.at_most(f"{case.words}, times the plain passes", ratio, case.most)
    return targets.exit_code()


def measure(case: Case) -> tuple[str, ...]:
    """Measure one line of the table."""
    task = load_task(case.task).task
    plain_passes(task)  # warms up
    before, phases = timed(lambda: plain_passes(task)), Phases()
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "task": case.task,
            "recipe": {**case.recipe, "members": {"checkpoints": [0]}},
            "index": {"path": folder},
            "build": {"batch_rows": BATCH, "block_rows": 8 * BATCH, "threads": 1},
        }
        whole = timed(lambda: build(BuildConfig.model_validate(config), phases))
    plain = (before + timed(lambda: plain_passes(task))) / 2
    parts = [
        f"{name} {seconds / plain:.2f}" for name, seconds in phases.seconds.items() if seconds > 0.02 * plain
    ]
    parameters = sum(p.numel() for p in task.model().parameters())
    words = f"{task.name} of {parameters:,} parameters, {len(task.train_set):,} rows"
    return words, case.words, f"{plain:.1f}", f"{whole:.1f}", f"{whole / plain:.2f}", ", ".join(parts)


def plain_passes(task: Task) -> None:
    """Run forward and backward over the whole training set, for gradients of all parameters."""
    model = task.model()
    load_checkpoint(model, task.checkpoints[0])
    model.eval()
    for start in range(0, len(task.train_set), BATCH):
        rows = range(start, min(start + BATCH, len(task.train_set)))
        batch = to_device(task.collate([task.train_set[row] for row in rows]), torch.device("cpu"))
        model.zero_grad(set_to_none=True)
        task.loss(model, batch).mean().backward()


def timed(work: Callable[[], object]) -> float:
    """Measure the seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    raise SystemExit(main())
