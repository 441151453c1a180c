"""What ensembles are measured on: Tasks with the outputs of really retrained models."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.sotu import model as sotu_model
from benchmarks.tasks import CACHE
from benchmarks.tasks import digits as digits_task
from benchmarks.tasks import fashion as fashion_task
from benchmarks.tasks.networks import Protocol, digits, full_models, retrained_outputs, subsets
from benchmarks.tasks.sotu.task import make_task, prepare, train_models
from benchmarks.tasks.sotu.truth import gather, retrain
from byline.loading.task_file import load_task
from byline.task import Item, Task
from byline_indexer.adapters import AdapterOptions

FIVE = 5


@dataclass(frozen=True)
class Tuning:
    """Queries that choices are made on, and that are not reported."""

    queries: Sequence[Item]
    truth_SQ: np.ndarray


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
    tuning: Tuning | None = None
    """Measured beside the reported queries, where rates are looked for."""


def digits_problem(protocol: Protocol = digits_task.FULL) -> Problem:
    """The digits of `benchmarks.accuracy.digits`."""
    data = digits(protocol)
    outputs = retrained_outputs(data, protocol, CACHE)
    count = FIVE if protocol == digits_task.FULL else 2
    digits_task.keep(full_models(data, protocol, count), protocol)
    full = protocol == digits_task.FULL
    reference = f"benchmarks.tasks.digits:{'task' if full else 'smoke'}"
    seconds = plain_seconds(load_task(reference).task, protocol.epochs, protocol.batch)
    queries, truth_SQ = list(zip(data.query_x, data.query_y, strict=True)), outputs.mean(axis=0)
    return Problem(
        name="digits" if full else "smoke",
        reference=reference,
        queries=queries[: protocol.queries],
        subsets_SR=subsets(protocol),
        truth_SQ=truth_SQ[:, : protocol.queries],
        train_seconds=seconds,
        repeats=FIVE if full else 1,
        tuning=Tuning(queries[protocol.queries :], truth_SQ[:, protocol.queries :]),
    )


def fashion_problem() -> Problem:
    """4,000 images of Fashion-MNIST."""
    outputs = fashion_task.truth()
    task, protocol = fashion_task.task(), fashion_task.FULL
    seconds = plain_seconds(task, protocol.epochs, protocol.batch)
    return Problem(
        name="fashion",
        reference="benchmarks.tasks.fashion:task",
        queries=_queries(task),
        subsets_SR=subsets(fashion_task.FULL),
        truth_SQ=outputs.mean(axis=0),
        train_seconds=seconds,
        repeats=2,
    )


def sotu_problem() -> Problem:
    """The small GPT of `benchmarks.accuracy.sotu`, whose truth and models are made first where they are missing."""
    protocol = sotu_model.FULL
    prepare(protocol)
    retrain(protocol)
    train_models(protocol)
    found = np.load(gather(protocol), allow_pickle=False)
    queries, truth_SQ = _queries(make_task(protocol)), found["outputs"].mean(axis=0)
    return Problem(
        name="sotu",
        reference="benchmarks.tasks.sotu.task:task",
        queries=queries[: protocol.queries],
        subsets_SR=found["subsets"],
        truth_SQ=truth_SQ[:, : protocol.queries],
        train_seconds=float(found["train_seconds"]),
        recipes=("ekfac",),
        adapters=AdapterOptions(rank=8, epochs=1, batch=protocol.batch, learning_rate=1e-3),
        build={"batch_rows": 16, "block_rows": 128},
        tuning=Tuning(queries[protocol.queries :], truth_SQ[:, protocol.queries :]),
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


def _queries(task: Task) -> list[Item]:
    items = task.evaluation_set or []
    return [items[place] for place in range(len(items))]
