"""Cases of `byline tune`: Tasks whose evaluation set is the tuning queries and then the reported ones, and their truths."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tasks import CACHE, digits, fashion
from benchmarks.tasks.finetuning import protocol as finetuning_protocol
from benchmarks.tasks.finetuning import task as finetuning_task
from benchmarks.tasks.finetuning import truths as finetuning_truths
from benchmarks.tasks.sotu import model as sotu_model
from benchmarks.tasks.sotu import task as sotu_task
from byline.index.durable import atomic_replacement
from byline.task import Task

BASE = 0
"""Pretrained model of the fine-tuning case."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A Task with the truth of both kinds of queries."""

    name: str
    task: str
    """Function of this module that declares the Task."""
    prepare: Callable[[], None]
    """Trains what is missing."""
    tuning: Path
    """Truth of the tuning queries."""
    reported: Path
    """Truth of the reported queries."""
    build: dict[str, Any] = field(default_factory=dict)
    """Options of the build."""

    @property
    def reference(self) -> str:
        """Name the Task as a build file does."""
        return f"{__name__}:{self.task}"

    def keep_truth(self, folder: Path) -> tuple[Path, int, int]:
        """Join both truths in one file.

        Args:
            folder: Where it goes.

        Returns:
            The file, the number of tuning queries, and the number of reported ones.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with np.load(self.tuning) as first, np.load(self.reported) as second:
            if not (first["subsets"] == second["subsets"]).all():
                raise ValueError(f"expected {self.tuning} and {self.reported} to be of the same subsets")
            outputs = np.concatenate([first["outputs"], second["outputs"]], axis=-1)
            counts = first["outputs"].shape[-1], second["outputs"].shape[-1]
            path = folder / "truth.npz"
            with atomic_replacement(path) as temporary, temporary.open("wb") as file:
                np.savez(file, subsets=first["subsets"], outputs=outputs)
        return path, *counts


def cases(*, smoke: bool) -> list[Case]:
    """List the cases; the smallest ones need no download."""
    digits_of = digits.SMOKE if smoke else digits.FULL
    sotu_of = sotu_model.SMOKE if smoke else sotu_model.FULL
    tuned_of = finetuning_protocol.SMOKE if smoke else finetuning_protocol.FULL
    end = "_smoke" if smoke else ""
    found = [
        Case(
            name="digits",
            task=f"digits_both{end}",
            prepare=partial(_prepare_digits, digits_of),
            tuning=digits.truth_of(digits_of, "tuning"),
            reported=digits.truth_of(digits_of),
        ),
        Case(
            name="sotu",
            task=f"sotu_both{end}",
            prepare=partial(_prepare_sotu, sotu_of),
            tuning=sotu_task.truth_of(sotu_of, "tuning"),
            reported=sotu_task.truth_of(sotu_of),
            build={"batch_rows": 16, "block_rows": 128},
        ),
        Case(
            name="finetuning",
            task=f"finetuning_both{end}",
            prepare=partial(_prepare_finetuning, tuned_of),
            tuning=finetuning_truths.truth_of(tuned_of, BASE, "halves", reported=False),
            reported=finetuning_truths.truth_of(tuned_of, BASE, "halves"),
            build={"batch_rows": 16, "block_rows": 128},
        ),
    ]
    if not smoke:
        found.insert(
            1,
            Case(
                name="fashion",
                task="fashion_both",
                prepare=fashion.prepare,
                tuning=fashion.TUNING_TRUTH,
                reported=fashion.TRUTH,
            ),
        )
    return found


def folder_of(case: Case, *, smoke: bool) -> Path:
    """Name the folder of a case's scores."""
    return CACHE / f"tuning{'-smoke' if smoke else ''}" / case.name


def digits_both() -> Task:
    """Declare the digits with all queries."""
    return _both(digits.tuning(), digits.task())


def digits_both_smoke() -> Task:
    """Declare the smallest digits with all queries."""
    return _both(digits.tuning_smoke(), digits.task_smoke())


def fashion_both() -> Task:
    """Declare Fashion-MNIST with all queries."""
    return _both(fashion.tuning(), fashion.task())


def sotu_both() -> Task:
    """Declare the speeches with all queries."""
    return _both(sotu_task.tuning(), sotu_task.task())


def sotu_both_smoke() -> Task:
    """Declare the smallest speeches with all queries."""
    return _both(sotu_task.tuning_smoke(), sotu_task.task_smoke())


def finetuning_both() -> Task:
    """Declare all checkpoints of a fine-tuning with all queries."""
    return _finetuning(finetuning_protocol.FULL)


def finetuning_both_smoke() -> Task:
    """Declare the smallest fine-tuning with all queries."""
    return _finetuning(finetuning_protocol.SMOKE)


def _finetuning(protocol: finetuning_protocol.Protocol) -> Task:
    tuning, reported = (
        finetuning_task.make_task(protocol, BASE, reported=each, run=True) for each in (False, True)
    )
    return _both(tuning, reported)


def _both(tuning: Task, reported: Task) -> Task:
    queries = [*(tuning.evaluation_set or ()), *(reported.evaluation_set or ())]
    return replace(reported, evaluation_set=queries)


def _prepare_digits(protocol: digits.Protocol) -> None:
    digits.keep_truths(protocol)
    digits.keep_models(protocol)


def _prepare_sotu(protocol: sotu_model.Protocol) -> None:
    sotu_task.prepare(protocol)
    sotu_task.keep_truths(protocol)
    sotu_task.train_models(protocol)


def _prepare_finetuning(protocol: finetuning_protocol.Protocol) -> None:
    finetuning_truths.keep_truths(protocol, BASE, "halves")
