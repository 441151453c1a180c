"""The digits network, its data and its truth, and the formulas' view of them."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.peers.comparison import Problem
from benchmarks.peers.dense import Dense
from benchmarks.tasks.digits import digits, keep_models, keep_truths, reference_of, truth_of
from benchmarks.tasks.networks import Protocol
from benchmarks.tasks.truth import Subject
from byline.loading.task_file import load_task


def digits_problem(protocol: Protocol, folder: Path) -> tuple[Problem, Dense]:
    """Train missing models, and write the libraries' input (network.py).

    Args:
        protocol: Sizes and training.
        folder: Where the input goes.
    """
    keep_truths(protocol)
    keep_models(protocol)
    subject = Subject(reference_of(protocol), truth_of(protocol), {"threads": 1})
    task, data = load_task(subject.task).task, digits(protocol)
    weights = load_file(str(task.checkpoints[0].weights))
    asked = data.query_x[: protocol.queries], data.query_y[: protocol.queries]
    dense = Dense(weights, data.x, data.y, *asked)
    torch.save(weights, folder / "weights.pt")
    arrays = {name: getattr(dense, name).numpy() for name in ("x", "y", "query_x", "query_y")}
    np.savez(folder / "data.npz", **arrays)
    return Problem(folder, subject, task), dense
