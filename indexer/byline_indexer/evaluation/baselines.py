"""Predict the outputs of retrained models by similarity, as a yardstick for scores that cost gradients.

Letters: Q queries, S subsets, R training points.
"""

from collections.abc import Iterator
from functools import partial
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from byline.api.terms import Similarity
from byline.baselines import BASELINES, FitOptions, FittedBaseline
from byline.errors import InvalidInput, InvalidTask
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.metrics import predicted_outputs
from byline.models.network import load_network
from byline.models.training_points import EVALUATION, read_items
from byline.task import Task
from byline_indexer.evaluation.designs import Subsets
from byline_indexer.evaluation.subject import Subject
from byline_indexer.progress import Observer


def baseline_predictions(
    subject: Subject, index: AttributionIndex, items: NDArray[np.int64], subsets_SR: Subsets
) -> dict[Similarity, NDArray[np.float64]]:
    """Sum the similarities of each subset's training points to each query, for every baseline that the Task has.

    Args:
        subject: Task, device and batch sizes.
        index: Its first member's model represents items.
        items: Q positions in the evaluation set.
        subsets_SR: Training points of each subset.

    Returns:
        Predictions [S, Q] by the baseline's name, in the form of `byline.metrics.predicted_outputs`.
    """
    found, first = {}, index.members[0]
    for name, fitted in fitted_baselines(subject, Member(first.checkpoint, adapter=first.adapter)):
        try:
            parts = [
                predicted_outputs(
                    fitted.scores(read_items(subject.evaluation_set, part, EVALUATION)), subsets_SR
                )
                for part in np.array_split(items, -(-len(items) // subject.options.batch))
            ]
        except InvalidInput as error:  # a yardstick that fails must not cost what was retrained
            subject.observer.message(f"baseline {name} left out: {error}")
            continue
        found[name] = np.concatenate(parts, axis=1)
    return found


def fitted_baselines(subject: Subject, first: Member) -> Iterator[tuple[Similarity, FittedBaseline]]:
    """Fit every baseline that the Task has on its training set.

    Args:
        subject: Task, device and batch sizes.
        first: Its model represents items.

    Yields:
        Name and baseline. One that fails is left out, with a message.
    """
    task, observer, device = subject.task, subject.observer, torch.device(subject.config.build.device)
    for name in offered(task, observer):
        model = load_network(task, Member(first.checkpoint, adapter=first.adapter), device)
        fitting = FitOptions(
            model=model,
            device=device,
            batch_rows=subject.config.build.batch_rows,
            on_done=partial(observer.progress, f"read training points for {name}"),
        )
        try:
            fitted = BASELINES[name].fit(task, fitting)
        except InvalidInput as error:
            observer.message(f"baseline {name} left out: {error}")
            continue
        yield name, fitted


def offered(task: Task, observer: Observer) -> list[Similarity]:
    """List the baselines that a Task declares what they compare for, and whose packages are installed."""
    names: list[Similarity] = []
    for name in get_args(Similarity):
        try:
            BASELINES[name].require(task)
        except InvalidTask:
            continue
        except InvalidInput as error:
            observer.message(f"baseline {name} left out: {error}")
            continue
        names.append(name)
    return names
