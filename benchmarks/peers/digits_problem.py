"""The digits network, its data and its truth, and the formulas' view of them."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.peers.comparison import Problem
from benchmarks.peers.dense import Dense
from benchmarks.tasks import CACHE
from benchmarks.tasks.digits import FULL, keep, smoke, task
from benchmarks.tasks.networks import Protocol, digits, full_models, retrained_outputs, subsets


def digits_problem(protocol: Protocol, folder: Path) -> tuple[Problem, Dense]:
    """Retrain what is missing, and write what the libraries read: network.py."""
    data, full = digits(protocol), protocol == FULL
    reported = slice(0, protocol.queries)
    outputs = retrained_outputs(data, protocol, CACHE)
    if not list((CACHE / f"digits-{protocol.train}-{protocol.epochs}").glob("seed-*.safetensors")):
        keep(full_models(data, protocol, 5 if full else 2), protocol)
    declared = task() if full else smoke()
    weights = load_file(str(declared.checkpoints[0].weights))
    asked = data.query_x[reported], data.query_y[reported]
    dense = Dense(weights, data.x, data.y, *asked)
    torch.save(weights, folder / "weights.pt")
    arrays = {name: getattr(dense, name).numpy() for name in ("x", "y", "query_x", "query_y")}
    np.savez(folder / "data.npz", **arrays)
    problem = Problem(
        folder=folder,
        reference=f"benchmarks.tasks.digits:{'task' if full else 'smoke'}",
        task=declared,
        queries=list(zip(*asked, strict=True)),
        subsets_SN=subsets(protocol),
        truth_SQ=outputs.mean(axis=0)[:, reported],
    )
    return problem, dense
