"""Retrain on every half, and write each model's outputs as soon as they are there: a run that was cut goes on.

python -m benchmarks.tasks.sotu.truth             # about 10 minutes of one core
python -m benchmarks.tasks.sotu.truth --share 0/2 # every second model, so that two processes may share the work
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from benchmarks.tasks.sotu.model import FULL, SMOKE, Protocol, minus_losses, subsets, train
from benchmarks.tasks.sotu.task import folder_of, prepare, query_chunks, train_chunks


def main() -> None:
    """Retrain what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="the tiny run's protocol")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th model, beginning with the i-th")
    options = parser.parse_args()
    torch.set_num_threads(1)
    protocol = SMOKE if options.smoke else FULL
    prepare(protocol)
    first, step = map(int, options.share.split("/"))
    retrain(protocol, first, step)


def retrain(protocol: Protocol, first: int = 0, step: int = 1) -> None:
    """Train a model for every half and seed, or every `step`-th; those whose outputs are there are skipped."""
    folder, chunks, queries = folder_of(protocol), train_chunks(protocol), query_chunks(protocol)
    halves = subsets(protocol.subsets, len(chunks))
    (folder / "truth").mkdir(exist_ok=True)
    models = [(half, seed) for half in range(protocol.subsets) for seed in range(protocol.seeds)]
    for half, seed in track(models[first::step], description="retraining on halves"):
        path = _part(folder, half, seed)
        if not path.exists():
            rows = np.flatnonzero(halves[half]).tolist()
            weights = train(folder, chunks, rows, 1000 + seed, protocol)
            np.save(path, minus_losses(folder, weights, queries))


def gather(protocol: Protocol) -> Path:
    """Write the truth as one file: `subsets` (bool [S, training rows]) and `outputs` ([seeds, S,
    queries]) and `train_seconds` of one checkpoint.

    Halves that not every seed has been trained on yet are left out.
    """
    folder = folder_of(protocol)
    halves = subsets(protocol.subsets, len(train_chunks(protocol)))
    done = [
        half
        for half in range(protocol.subsets)
        if all(_part(folder, half, seed).exists() for seed in range(protocol.seeds))
    ]
    outputs = [[np.load(_part(folder, half, seed)) for half in done] for seed in range(protocol.seeds)]
    path = folder / "truth.npz"
    seconds = float((folder / "train-seconds.txt").read_text())
    np.savez(path, subsets=halves[done], outputs=np.stack(outputs), train_seconds=seconds)
    return path


def _part(folder: Path, half: int, seed: int) -> Path:
    return folder / "truth" / f"half-{half}-seed-{seed}.npy"


if __name__ == "__main__":
    main()
