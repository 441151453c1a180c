"""Recipe dvemb from recorded runs: LDS on digits, the cost of recording, and peak memory on the GPT.

    python -m benchmarks.accuracy.recorded            # about 15 minutes on one core
    python -m benchmarks.accuracy.recorded --smoke

The digits models are trained as those of the truth (`benchmarks.accuracy.digits`), one at a time, once with a recorder
and once without one: the table has the ratio of the times. With momentum .9 a step is recorded with ten times its
rate; "plain SGD" trains with that rate and no momentum. Every row is the mean over the models; ekfac, logra and grad_dot
are built on the very same models.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.accuracy.evaluation import Row, Score, measure_recipe
from benchmarks.tasks import gpt
from benchmarks.tasks.digits import FULL, SMOKE, digits, keep_models, keep_truths, truth_of
from benchmarks.tasks.digits import task as full_task
from benchmarks.tasks.digits import task_smoke as smoke_task
from benchmarks.tasks.networks import Protocol
from benchmarks.tasks.truth import Subject
from byline.index.recordings import open_recording
from byline.recipes import recipe
from byline.recording import TrainingRecorder
from byline.task import Checkpoint, Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

MODELS = 3
GPT_BATCH = 16
GPT_RUNS = {
    "320 texts, 10 epochs": ("short_320", 10),
    "3,200 texts, 1 epoch": ("short_3200", 1),
    "3,200 texts, 4 epochs": ("short_3200", 4),
}
GPT_SMALL = {"size_in": 16, "size_out": 16}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A way to train models, and the recipes that are built of them."""

    label: str
    momentum: float
    rate: float
    others: tuple[str, ...] = ()
    """Recipes that need no recording, for comparison."""


RUNS = [
    Run(label="momentum .9", momentum=0.9, rate=0.01, others=("ekfac", "logra", "grad_dot")),
    Run(label="plain SGD", momentum=0.0, rate=0.1),
]
JOINT = {"curvature": {"blocks": "joint"}}


def main() -> int:
    """Record, build and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument(
        "--one", nargs=2, metavar=("TASK", "EPOCHS"), help="record the GPT once, print the peak"
    )
    options = parser.parse_args()
    if options.one:
        gpt_once(options.one[0], int(options.one[1]))
        return 0
    torch.set_num_threads(1)
    console = Console(width=120)
    console.print(accuracy(tiny=options.smoke))
    console.print(memory(tiny=options.smoke))
    return 0


def accuracy(*, tiny: bool) -> Table:
    """Measure the LDS of every run, and the cost of recording."""
    protocol, models = (SMOKE, 1) if tiny else (FULL, MODELS)
    keep_truths(protocol)
    keep_models(protocol)
    table = Table(
        "run", "recipe", "numbers a row", "LDS", "95 % interval", "recorded / plain", "recording, MB"
    )
    for run in track(RUNS[:1] if tiny else RUNS, description="runs"):
        with ExitStack() as stack:
            folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(models)]
            costs = np.array([recorded(run, protocol, folder, seed) for seed, folder in enumerate(folders)])
            recorded_rows: list[tuple[str, dict[str, Any]]] = [("dvemb", {}), ("dvemb", JOINT)]
            for name, changes in [*recorded_rows, *((name, {}) for name in run.others)]:
                cells = measured(name, changes, protocol, folders)
                cost = (
                    [f"{costs[:, 0].mean():.1f}", f"{costs[:, 1].mean() / 1e6:.0f}"]
                    if name == "dvemb"
                    else []
                )
                label = f"{name}, joint" if "curvature" in changes else name
                print(run.label, label, *cells, *cost, flush=True)
                table.add_row(run.label, label, *cells, *cost)
    return table


def recorded(run: Run, protocol: Protocol, folder: Path, seed: int) -> tuple[float, float]:
    """Train without and with a recorder, and return the ratio of the times and the recording's bytes."""
    task = full_task() if protocol == FULL else smoke_task()
    next(steps(from_seed(task, seed), task, run, protocol, seed))  # the first step allocates
    model, start = from_seed(task, seed), time.perf_counter()
    for _ in steps(model, task, run, protocol, seed):
        pass
    plain, again = time.perf_counter() - start, from_seed(task, seed)
    start = time.perf_counter()
    with TrainingRecorder(task, recipe("dvemb"), again, folder / "steps") as recorder:
        for rows in steps(again, task, run, protocol, seed):
            recorder.step(rows, run.rate / (1 - run.momentum))
    watched = time.perf_counter() - start
    if not all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)):
        raise RuntimeError("expected the recorded run to end with the weights of the plain one, got others")
    save_file(again.state_dict(), folder / "weights.safetensors")
    write_task(folder, "digits" if protocol == FULL else "digits_smoke")
    found = open_recording(folder / "steps")
    return watched / plain, float(sum(span.size for span in found.spans))


def from_seed(task: Task, seed: int) -> nn.Module:
    """Make a network before its first step."""
    torch.manual_seed(500 + seed)
    return task.model().train()


def steps(model: nn.Module, task: Task, run: Run, protocol: Protocol, seed: int) -> Iterator[Tensor]:
    """Train as the models of the truth are trained; yield the rows of each step before it is taken."""
    data = digits(protocol)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate, momentum=run.momentum)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(protocol.epochs):
        for rows in torch.randperm(protocol.train, generator=generator).split(protocol.batch):
            if len(rows) * 2 < protocol.batch:
                continue
            optimizer.zero_grad()
            task.loss(
                model, task.collate([(data.x[row], data.y[row]) for row in rows.tolist()])
            ).mean().backward()
            yield rows
            optimizer.step()


def write_task(folder: Path, name: str) -> None:
    """Write a Task file beside its run."""
    (folder / "task.py").write_text(
        "from pathlib import Path\n\nfrom benchmarks.accuracy.recorded import ran\n\n\n"
        f"def task():\n    return ran({name!r}, Path(__file__).parent)\n"
    )


def ran(name: str, folder: Path) -> Task:
    """Declare a Task with the weights and the recording of one run."""
    makers = {"digits": full_task, "digits_smoke": smoke_task}
    base = makers[name]() if name in makers else getattr(gpt, name)()
    run = Checkpoint(weights=folder / "weights.safetensors", recording=folder / "steps")
    return replace(base, checkpoints=[run])


def measured(name: str, changes: dict[str, Any], protocol: Protocol, folders: list[Path]) -> list[str]:
    """Evaluate a recipe: numbers a row, LDS and its interval, the mean over the models."""
    scores = []
    for folder in folders:
        subject = Subject(f"{folder / 'task.py'}:task", truth_of(protocol))
        scores.append(measure_recipe(subject, Row(name, name, changes=changes), [0]))
    return list(Score.mean(scores).cells)


def memory(*, tiny: bool) -> Table:
    """Measure the peaks of recording the GPT's run and of building its index, in a process of its own."""
    runs = {"64 texts, 1 epoch": ("short_64", 1)} if tiny else GPT_RUNS
    table = Table("GPT, 0.94 M", "peak after recording, MB", "peak after the build, MB", "recording, MB")
    for label, (task, epochs) in runs.items():
        command = [sys.executable, "-m", "benchmarks.accuracy.recorded", "--one", task, str(epochs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        table.add_row(label, *done.stdout.split()[-3:])
    return table


def gpt_once(name: str, epochs: int) -> None:
    """Record a run, build, and print both peaks and the recording's size."""
    chosen = {"name": "dvemb", "projection": GPT_SMALL}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        task: Task = getattr(gpt, name)()
        torch.manual_seed(0)
        model = task.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with TrainingRecorder(
            task, recipe("dvemb", projection=GPT_SMALL), model, folder / "steps"
        ) as recorder:
            for _ in range(epochs):
                for rows in torch.randperm(len(task.train_set)).split(GPT_BATCH):
                    optimizer.zero_grad()
                    task.loss(
                        model, task.collate([task.train_set[row] for row in rows.tolist()])
                    ).mean().backward()
                    recorder.step(rows, 0.05)
                    optimizer.step()
        save_file(dict(model.named_parameters()), folder / "weights.safetensors")
        write_task(folder, name)
        recording = sum(span.size for span in open_recording(folder / "steps").spans)
        after_recording = peak()
        config = {"task": f"{folder / 'task.py'}:task", "recipe": chosen, "index": {"path": folder / "index"}}
        build(BuildConfig.model_validate(config))
        print(f"{after_recording:.0f} {peak():.0f} {recording / 1e6:.0f}")


def peak() -> float:
    """Read the peak resident memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
