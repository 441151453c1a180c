"""Scikit-learn's digits: networks to attribute, and networks retrained on random halves of the training set."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.tasks import CACHE
from benchmarks.tasks.networks import Data, Protocol, query_losses, state_dicts, train_many
from benchmarks.tasks.truth import Retraining, keep_truth, random_halves
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification
from examples.digits.task import model

FULL = Protocol()
SMOKE = Protocol(train=120, queries=10, tuning=10, subsets=6, seeds=2, epochs=3)
MODELS = {FULL: 5, SMOKE: 2}
"""Networks that are attributed."""
ALONG = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Parts of a run after which its checkpoints are taken."""


def folder_of(protocol: Protocol) -> Path:
    """Name the folder of a protocol's weights and truths."""
    return CACHE / f"digits-{protocol.digest}"


def truth_of(protocol: Protocol, name: str = "truth") -> Path:
    """Name the file of a truth: `truth` of the reported queries, `tuning` of the others."""
    return folder_of(protocol) / f"{name}.npz"


def reference_of(protocol: Protocol, name: str = "task") -> str:
    """Name a Task of this module as a build file does."""
    return f"{__name__}:{name if protocol == FULL else f'{name}_smoke'}"


@cache
def digits(protocol: Protocol) -> Data:
    """Split the digits into training points and queries, by a fixed shuffle; pixels are in [0, 1]."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    x = torch.tensor(bunch.data[order] / 16.0, dtype=torch.float32)
    y = torch.tensor(bunch.target[order], dtype=torch.int64)
    n, q = protocol.train, protocol.queries + protocol.tuning
    return Data(x[:n], y[:n], x[n : n + q], y[n : n + q])


def full_models(protocol: Protocol, count: int) -> list[dict[str, Tensor]]:
    """Train networks on the whole training set."""
    rows = torch.arange(protocol.train).expand(count, -1)
    return state_dicts(train_many(digits(protocol), rows, protocol, seed=77))


def keep_models(protocol: Protocol) -> None:
    """Train the networks that are attributed; finished files stay."""
    _keep(protocol, protocol, "seed-{seed}")


def keep_runs(protocol: Protocol) -> None:
    """Save checkpoints along the runs of these networks: the first epochs of a run are a shorter run."""
    for part in ALONG:
        shorter = replace(protocol, epochs=max(1, round(part * protocol.epochs)))
        _keep(protocol, shorter, f"runs/seed-{{seed}}-{round(100 * part):03d}")


def keep_truths(protocol: Protocol) -> None:
    """Retrain on random halves, and write the truths; finished files stay."""
    data, halves = digits(protocol), random_halves(protocol.subsets, protocol.train)
    rows_MS = torch.tensor(np.stack([np.flatnonzero(half) for half in halves]))

    def train(subsets: range, seed: int) -> np.ndarray:
        networks = train_many(data, rows_MS[list(subsets)], protocol, seed=1000 + seed)
        return -query_losses(networks, data).numpy()

    retraining = Retraining(subsets_SR=halves, seeds=protocol.seeds, together=protocol.subsets, train=train)
    reported, others = slice(0, protocol.queries), slice(protocol.queries, None)
    keep_truth(retraining, {truth_of(protocol): reported, truth_of(protocol, "tuning"): others})


def task() -> Task:
    """Declare the Task, whose evaluation set is the reported queries."""
    return _task(FULL, reported=True)


def tuning() -> Task:
    """Declare the same with the tuning queries."""
    return _task(FULL, reported=False)


def runs() -> Task:
    """Declare the same with all checkpoints of every run, run after run."""
    return _task(FULL, reported=True, weights="runs/seed-*.safetensors")


def task_smoke() -> Task:
    """Declare `task` of the smallest protocol."""
    return _task(SMOKE, reported=True)


def tuning_smoke() -> Task:
    """Declare `tuning` of the smallest protocol."""
    return _task(SMOKE, reported=False)


def _keep(protocol: Protocol, trained: Protocol, name: str) -> None:
    paths = [
        folder_of(protocol) / f"{name.format(seed=seed)}.safetensors" for seed in range(MODELS[protocol])
    ]
    if all(path.exists() for path in paths):
        return
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path, state in zip(paths, full_models(trained, len(paths)), strict=True):
        save_file(state, path)


def _task(protocol: Protocol, *, reported: bool, weights: str = "seed-*.safetensors") -> Task:
    paths = sorted(folder_of(protocol).glob(weights))
    checkpoints = [Checkpoint(weights=path, learning_rate=protocol.learning_rate) for path in paths]
    queries = digits(protocol).queries
    asked = queries[: protocol.queries] if reported else queries[protocol.queries :]
    return replace(declare(protocol, checkpoints), evaluation_set=asked)


def declare(protocol: Protocol, checkpoints: list[Checkpoint]) -> Task:
    """Declare a Task over given networks.

    Args:
        protocol: The training set.
        checkpoints: The networks.
    """
    data = digits(protocol)
    examples = [Example(id=f"digit-{row}", label=str(int(y))) for row, y in enumerate(data.y)]
    trained = TrainedModel(
        name="digits",
        model=model,
        checkpoints=checkpoints,
        data=TrainingData.from_arrays(data.x, data.y, examples),
    )
    return vector_classification(trained, classes=[str(digit) for digit in range(10)])
