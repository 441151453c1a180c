"""A pretrained language model with its fine-tunes: what indexing costs beside plain training passes.

    python -m benchmarks.speed.language_model                     # after make demo-llm; an hour and a half on one core
    python -m benchmarks.speed.language_model --only lora/logra   # some cases
    python -m benchmarks.speed.language_model --rows 12           # the first rows alone: minutes, and rougher rates
    python -m benchmarks.speed.language_model --memory            # peak memory of every recipe with three rows: 90 minutes
    python -m benchmarks.speed.language_model --smoke             # a tiny drawn model

SmolLM2-135M, whole and as a LoRA adapter, on the chats of `examples.smollm2.documents`. Each part runs in a process of its
own on one thread, with its own peak of resident memory. Seconds are of the processor, and a build's are everything that
`byline build` does. The foretold time is compared with the clock's. Plain passes differentiate the trained parameters in
batches of four, sorted by length. The training memory is the peak of the same passes with AdamW's steps.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import byline
from benchmarks.report import Targets
from byline.errors import BylineError
from byline.loading.task_file import load_task
from byline.models.checkpoints import load_checkpoint
from byline.recipes import RECIPES
from byline.task import Task
from byline_indexer.build.estimate import estimate
from byline_indexer.build.index import BuildOptions, build_index
from byline_indexer.config import BuildConfig
from byline_indexer.progress import RemainingTime
from examples.demo import FOLDER
from examples.smollm2.documents import Sizes, write_documents
from examples.smollm2.drawn import drawn
from examples.smollm2.train import RUNS, fine_tune

CASES = ("lora/logra", "lora/ekfac_pca", "whole/logra", "whole/ekfac_pca")
LEAST = {"logra": 0.5, "ekfac_pca": 0.35}
"""Least tokens/s of a build over those of plain passes."""
BATCH = 4
MOST_GB = 4.0
FEW_ROWS = 3
EVERY_RECIPE = tuple(f"{run.name}/{recipe}" for recipe in RECIPES for run in RUNS)
TASK = """from dataclasses import replace
from pathlib import Path

from byline.tasks import LocalModel, causal_language_model


def task():
    made = causal_language_model("{run}", LocalModel({model}), "{folder}/train.jsonl")
    rated = [replace(each, learning_rate=1e-4) for each in made.checkpoints]  # recipes tracin and less ask for it
    return replace(made, checkpoints=rated)
"""


@dataclass(frozen=True)
class Place:
    """Where the models and the data are, and where cases may write."""

    folder: Path
    scratch: Path
    rows: int | None
    """Rows of the data that are taken, the first ones. None takes all."""

    def declared(self, case: str) -> str:
        """Write a Task file for a case."""
        run = case.partition("/")[0]
        own = self.scratch / case.replace("/", "-")
        own.mkdir()
        lines = (self.folder / "train.jsonl").read_text().splitlines(keepends=True)
        (own / "train.jsonl").write_text("".join(lines[: self.rows]))
        model = (
            {"folder": self.folder / run}
            if run == "whole"
            else {"folder": self.folder / "pretrained", "adapter": self.folder / run}
        )
        words = ", ".join(f'{name}=Path("{path}")' for name, path in model.items())
        (own / "task.py").write_text(TASK.format(run=run, model=words, folder=own))
        return f"{own / 'task.py'}:task"


class Watch:
    """An observer that notes how long nothing is reported, and how far estimates of the remaining time were off."""

    def __init__(self) -> None:
        self.gap = 0.0
        self._began = self._last = time.monotonic()
        self._remaining = RemainingTime()
        self._told: list[tuple[float, float]] = []

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Note what phases may take."""
        self._remaining.expect(seconds)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Note the report, and the estimate after it."""
        now = time.monotonic()
        self._remaining.progress(phase, done, total)
        self.gap, self._last = max(self.gap, now - self._last), now
        left = self._remaining.seconds()
        if left is not None:
            self._told.append((now - self._began, left))

    def message(self, message: str) -> None:
        """Ignore messages."""

    def worst(self) -> float:
        """Find the largest factor between the told and the true remaining time, from the first tenth on to the last."""
        whole = self._last - self._began
        pairs = [(whole - at, left) for at, left in self._told if 0.1 * whole < at < 0.9 * whole]
        return max((max(left / true, true / max(left, 1e-9)) for true, left in pairs), default=1.0)


class Heights:
    """An observer that notes in which phase the peak of memory rose last."""

    def __init__(self) -> None:
        self.phase = ""
        self._highest = _peak()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Read the peak."""
        found = _peak()
        if found > self._highest:
            self.phase, self._highest = f"{phase}, {done} of {total}", found

    def message(self, message: str) -> None:
        """Ignore messages."""


def main() -> int:
    """Measure every case and print the table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny drawn model")
    parser.add_argument("--only", nargs="+", metavar="RUN/RECIPE", help="these cases")
    parser.add_argument("--rows", type=int, metavar="N", help="only the first N rows of the data")
    parser.add_argument("--memory", action="store_true", help="peak memory of every recipe, or of --only")
    parser.add_argument("--part", nargs=3, metavar=("PART", "TASK", "RECIPE"), help="one part, as JSON")
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(1)
        print(json.dumps(PARTS[options.part[0]](*options.part[1:])))
        return 0
    targets = None if options.smoke else Targets()
    with tempfile.TemporaryDirectory() as scratch:
        folder = prepared(Path(scratch)) if options.smoke else FOLDER / "smollm2"
        place = Place(folder, Path(scratch), options.rows or (FEW_ROWS if options.memory else None))
        if options.memory:
            table = memories(options.only or EVERY_RECIPE[: 2 if options.smoke else None], place, targets)
        else:
            table = costs(options.only or CASES[: 2 if options.smoke else None], place, targets)
    Console(width=200).print(table)
    return 0 if targets is None else targets.exit_code()


def costs(cases: Iterable[str], place: Place, targets: Targets | None) -> Table:
    """Measure cases in full."""
    table = Table(*("case", "plain, tokens/s", "build, tokens/s", "ratio", "memory: build, training, GB"))
    for name in ("foretold s, true s", "foretold memory", "foretold bytes, du", "dry run, s", "bytes a row"):
        table.add_column(name)
    for name in ("query, s", "remaining, times", "still, s"):
        table.add_column(name)
    for case in cases:
        table.add_row(case, *measure(case, place, targets))
    return table


def memories(cases: Iterable[str], place: Place, targets: Targets | None) -> Table:
    """Build every case, and note its peak of resident memory, or why it is refused."""
    table = Table("case", "peak memory, GB", "in the phase", "build, s", "refused")
    for case in cases:
        made = part("memory", place.declared(case), case.partition("/")[2])
        print(case, json.dumps(made), flush=True)
        if targets is not None and not made["refused"]:
            targets.at_most(f"{case}: peak memory, GB", made["memory"] / 1e9, MOST_GB)
        height, seconds = f"{made['memory'] / 1e9:.2f}", f"{made['seconds']:.0f}"
        table.add_row(case, height, made["phase"], seconds, made["refused"])
    return table


def prepared(folder: Path) -> Path:
    """Fine-tune a tiny drawn model."""
    data = folder / "train.jsonl"
    write_documents(data, Sizes(packages=8, characters=200))
    model = drawn(folder / "pretrained", data)
    for run in RUNS:
        fine_tune(model, data, folder, run, _untold)
    return folder


def _untold(done: int, total: int) -> None:
    """Tell nobody."""


def measure(case: str, place: Place, targets: Targets | None) -> tuple[str, ...]:
    """Measure one row of the table."""
    recipe = case.partition("/")[2]
    task = place.declared(case)
    plain, dry = part("plain", task, recipe), part("dry", task, recipe)
    made = part("build", task, recipe)
    query = part("query", task, recipe)
    rate = made["tokens"] / made["seconds"]
    print(case, json.dumps({"plain": plain, "dry": dry, "build": made, "query": query}), flush=True)
    if targets is not None:
        _compare(case, targets, plain, dry, made)
    return (
        f"{plain['rate']:.0f}",
        f"{rate:.0f}",
        f"{rate / plain['rate']:.2f}",
        f"{made['memory'] / 1e9:.2f}, {plain['memory'] / 1e9:.2f}",
        f"{dry['foretold_seconds']:.0f}, {made['wall']:.0f}",
        f"{dry['foretold_memory'] / 1e9:.2f}",
        f"{dry['foretold_bytes'] / 1e6:.1f}, {made['bytes'] / 1e6:.1f} MB",
        f"{dry['seconds']:.0f}",
        f"{made['bytes'] / made['rows']:,.0f}",
        f"{query['seconds']:.2f}",
        f"{made['worst']:.1f}",
        f"{made['gap']:.1f}",
    )


def _compare(case: str, targets: Targets, plain: Any, dry: Any, made: Any) -> None:
    recipe = case.partition("/")[2]
    rate = made["tokens"] / made["seconds"] / plain["rate"]
    targets.at_least(f"{case}: tokens/s over plain passes", rate, LEAST[recipe])
    targets.at_most(f"{case}: peak memory, GB", made["memory"] / 1e9, MOST_GB)
    targets.at_most(f"{case}: peak memory over training's", made["memory"] / plain["memory"], 1.3)
    for name, true in (("seconds", "wall"), ("memory", "memory"), ("bytes", "bytes")):
        off = abs(dry[f"foretold_{name}"] / made[true] - 1)
        targets.at_most(f"{case}: the dry run's error in {name}", off, 0.25)
    targets.at_most(f"{case}: the dry run's part of the build", dry["seconds"] / made["seconds"], 0.1)
    targets.at_most(f"{case}: remaining time, times", made["worst"], 2)
    targets.at_most(f"{case}: seconds without a report", made["gap"], 5)


def part(name: str, task: str, recipe: str) -> Any:
    """Run one part in a process of its own, on one thread."""
    command = [sys.executable, "-m", "benchmarks.speed.language_model", "--part", name, task, recipe]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} of {recipe} failed: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def plain_passes(task: str, recipe: str) -> dict[str, float]:
    """Differentiate the trained parameters, then take AdamW's steps, over the same batches."""
    del recipe
    declared = load_task(task).task
    model = declared.model()
    load_checkpoint(model, declared.checkpoints[0])
    items = sorted(_items(declared), key=lambda item: len(item["input_ids"]))
    batches = [items[first : first + BATCH] for first in range(0, len(items), BATCH)]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0)

    def step(batch: list[Any]) -> None:
        optimizer.zero_grad(set_to_none=True)
        declared.loss(model, declared.collate(batch)).mean().backward()

    step(batches[0])
    began = time.process_time()
    for batch in batches:
        step(batch)
    seconds = time.process_time() - began
    step(batches[-1])
    optimizer.step()
    step(batches[-1])
    return {"rate": _tokens(items) / seconds, "memory": _peak()}


def dry_run(task: str, recipe: str) -> dict[str, float]:
    """Foretell the build."""
    began = time.process_time()
    found = estimate(BuildConfig.model_validate(_config(task, recipe)))
    return {
        "seconds": time.process_time() - began,
        "foretold_seconds": found.seconds,
        "foretold_memory": found.memory,
        "foretold_bytes": found.index,
    }


def build(task: str, recipe: str) -> dict[str, float]:
    """Build."""
    watch, began, at = Watch(), time.process_time(), time.monotonic()
    version = build_index(task, recipe, _index(task), BuildOptions(), watch)
    seconds, wall = time.process_time() - began, time.monotonic() - at
    items = _items(load_task(task).task)
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    return {
        "seconds": seconds,
        "wall": wall,
        "tokens": _tokens(items),
        "rows": len(items),
        "memory": _peak(),
        "bytes": size,
        "gap": watch.gap,
        "worst": watch.worst(),
    }


def query(task: str, recipe: str) -> dict[str, float]:
    """Ask a warm index for a training text."""
    del recipe
    index = byline.open(_index(task))
    declared = load_task(task).task
    asked = {"text": (declared.text or str)(declared.train_set[3]), "attribute": "text"}
    index.attribute(asked)
    began = time.process_time()
    index.attribute(asked)
    return {"seconds": time.process_time() - began}


def memory(task: str, recipe: str) -> dict[str, Any]:
    """Build, and note the peak of memory alone. A recipe that the model is refused says why."""
    began, refused, heights = time.process_time(), "", Heights()
    try:
        build_index(task, recipe, _index(task), None, heights)
    except BylineError as error:
        refused = f"{type(error).__name__}: {error}"
    seconds = time.process_time() - began
    return {"memory": _peak(), "seconds": seconds, "refused": refused, "phase": heights.phase}


PARTS = {"plain": plain_passes, "dry": dry_run, "build": build, "query": query, "memory": memory}


def _config(task: str, recipe: str) -> dict[str, Any]:
    return {"task": task, "recipe": {"name": recipe}, "index": {"path": str(_index(task))}}


def _index(task: str) -> Path:
    return Path(task.rpartition(":")[0]).parent / "index"


def _items(task: Task) -> list[Any]:
    return [task.train_set[row] for row in range(len(task.train_set))]


def _tokens(items: list[Any]) -> int:
    return sum(len(item["input_ids"]) for item in items)


def _peak() -> int:
    """Read the peak resident bytes of this program. `getrusage` would count its parent's before it began."""
    (line,) = [
        each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM")
    ]
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    raise SystemExit(main())
