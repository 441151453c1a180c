"""Problems for ensembles: Tasks with the truth of real retraining, and the price of training one checkpoint."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.tasks import digits, fashion
from benchmarks.tasks.networks import Protocol
from benchmarks.tasks.sotu import model as sotu_model
from benchmarks.tasks.sotu import task as sotu
from benchmarks.tasks.truth import Subject
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.adapters import AdapterOptions

FIVE = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A Task to attribute, with its truth."""

    name: str
    subject: Subject
    """The Task with the reported queries."""
    train_seconds: float
    """CPU time of training one checkpoint."""
    tuning: Subject | None = None
    """The same Task with the queries on which choices are made."""
    recipes: tuple[str, ...] = ("ekfac", "ekfac_margin")
    repeats: int = 3
    """Checkpoints that rows with one are the mean of."""
    adapters: AdapterOptions = field(
        default_factory=lambda: AdapterOptions(rank=8, epochs=2, batch=64, learning_rate=5e-3)
    )


def digits_problem(protocol: Protocol = digits.FULL) -> Problem:
    """Prepare the digits; missing truths and models are made."""
    digits.keep_truths(protocol)
    digits.keep_models(protocol)
    reference, full = digits.reference_of(protocol), protocol == digits.FULL
    return Problem(
        name="digits" if full else "smoke",
        subject=Subject(reference, digits.truth_of(protocol)),
        tuning=Subject(digits.reference_of(protocol, "tuning"), digits.truth_of(protocol, "tuning")),
        train_seconds=plain_seconds(load_task(reference).task, protocol.epochs, protocol.batch),
        repeats=FIVE if full else 1,
    )


def fashion_problem() -> Problem:
    """Prepare 4,000 images of Fashion-MNIST; missing truths and models are made."""
    fashion.prepare()
    protocol = fashion.FULL
    return Problem(
        name="fashion",
        subject=Subject(f"{fashion.__name__}:task", fashion.TRUTH),
        train_seconds=plain_seconds(fashion.task(), protocol.epochs, protocol.batch),
        repeats=2,
    )


def sotu_problem() -> Problem:
    """Prepare the small GPT on speeches; missing truths and models are made."""
    protocol, build = sotu_model.FULL, {"batch_rows": 16, "block_rows": 128}
    sotu.keep_truths(protocol)
    sotu.train_models(protocol)
    return Problem(
        name="sotu",
        subject=Subject(sotu.reference_of(protocol), sotu.truth_of(protocol), build),
        tuning=Subject(sotu.reference_of(protocol, "tuning"), sotu.truth_of(protocol, "tuning"), build),
        train_seconds=sotu.train_seconds(protocol),
        recipes=("ekfac",),
        adapters=AdapterOptions(rank=8, epochs=1, batch=protocol.batch, learning_rate=1e-3),
    )


def given_problem(options: argparse.Namespace) -> Problem:
    """Take a Task and a truth file of the caller's own."""
    build = {"batch_rows": options.batch, "block_rows": options.batch * 8}
    return Problem(
        name=options.name,
        subject=Subject(options.task, options.truth, build),
        train_seconds=options.train_seconds,
        recipes=tuple(options.recipe or ["ekfac"]),
        adapters=AdapterOptions(rank=8, epochs=1, batch=options.batch, learning_rate=options.learning_rate),
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "digits": digits_problem,
    "sotu": sotu_problem,
    "fashion": fashion_problem,
}


def plain_seconds(task: Task, epochs: int, batch: int) -> float:
    """Time the training of all parameters in the loop in which adapters are trained: one epoch, times all."""
    model = task.model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rows = len(task.train_set)
    start = time.process_time()
    for first in range(0, rows, batch):
        items = [task.train_set[row] for row in range(first, min(first + batch, rows))]
        optimizer.zero_grad(set_to_none=True)
        task.loss(model, task.collate(items)).mean().backward()
        optimizer.step()
    return (time.process_time() - start) * epochs
