"""Fashion-MNIST as a second classification problem: a wider network on more points than digits has.

The images are Debian's package `dataset-fashion-mnist` (MIT). They are looked for where the package puts them, then in
`.bench/fashion-mnist`; if they are in neither place, apt fetches the package.
"""

import gzip
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks import CACHE
from benchmarks.tasks.networks import Data, Protocol, forward, state_dicts, subsets, train_many
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
KEPT = CACHE / "fashion-mnist"
WIDTHS = (784, 128, 64, 10)
FULL = Protocol(train=4000, queries=100, tuning=0, subsets=100, seeds=2, epochs=30, learning_rate=0.02)
MODELS = 5
TOGETHER = 10
"""Networks trained as one: what fits a processor's cache."""
LARGEST = 60_000


def network() -> nn.Module:
    """784-128-64-10 with dropout, as the digits' network is."""
    return nn.Sequential(
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(64, 10),
    )


def task() -> Task:
    """4,000 images and five models trained on them."""
    return _task(FULL.train, "seed-*.safetensors")


def large(rows: int = LARGEST) -> Task:
    """More images under one model trained on all 60,000: for sizes and errors, not for an LDS."""
    return _task(rows, "large.safetensors")


def truth() -> np.ndarray:
    """Minus the loss of every query under models trained on halves [seeds, subsets, queries].

    The models to attribute are trained too; all of it is cached.
    """
    path = KEPT / "truth.npy"
    if not path.exists():
        _train(path)
    outputs: np.ndarray = np.load(path, allow_pickle=False)
    return outputs


def train_large() -> None:
    """Train the one model on everything."""
    path = KEPT / "large.safetensors"
    if not path.exists():
        protocol = replace(FULL, train=LARGEST, epochs=8)
        rows = torch.arange(LARGEST)[None]
        save_file(state_dicts(train_many(data(LARGEST), rows, protocol, 88, WIDTHS))[0], path)


def data(rows: int) -> Data:
    """The first training images, and the first test images as queries."""
    x, y = _images("train")
    query_x, query_y = _images("t10k")
    return Data(x[:rows], y[:rows], query_x[: FULL.queries], query_y[: FULL.queries])


def _train(path: Path) -> None:
    points = data(FULL.train)
    rows_MS = torch.tensor(np.stack([np.flatnonzero(row) for row in subsets(FULL)]))
    parts = [(seed, part) for seed in range(FULL.seeds) for part in range(-(-FULL.subsets // TOGETHER))]
    for seed, part in track(parts, description="retraining on halves"):
        kept = KEPT / f"truth-{seed}-{part}.npy"
        if kept.exists():
            continue
        chunk = rows_MS.split(TOGETHER)[part]
        parameters = train_many(points, chunk, FULL, 1000 + seed * 100 + part, WIDTHS)
        with torch.no_grad():
            logits = forward(parameters, points.query_x.expand(len(chunk), -1, -1))
        labels = points.query_y.repeat(len(chunk))
        loss = F.cross_entropy(logits.flatten(0, 1), labels, reduction="none")
        np.save(kept, -loss.reshape(len(chunk), -1).numpy())
    found = [np.load(KEPT / f"truth-{seed}-{part}.npy") for seed, part in parts]
    outputs = np.concatenate(found).reshape(FULL.seeds, FULL.subsets, -1)
    for seed in track(range(MODELS), description="training on all"):
        parameters = train_many(points, torch.arange(FULL.train)[None], FULL, 77 + seed, WIDTHS)
        save_file(state_dicts(parameters)[0], KEPT / f"seed-{seed}.safetensors")
    np.save(path, outputs)


def _task(rows: int, pattern: str) -> Task:
    points = data(rows)
    examples = [Example(id=f"image-{row}", label=str(int(y))) for row, y in enumerate(points.y)]
    trained = TrainedModel(
        name="fashion",
        model=network,
        checkpoints=[Checkpoint(weights=load_file(path)) for path in sorted(KEPT.glob(pattern))],
        data=TrainingData.from_arrays(points.x, points.y, examples),
    )
    made = vector_classification(trained, classes=[str(kind) for kind in range(10)])
    return replace(made, evaluation_set=list(zip(points.query_x, points.query_y, strict=True)))


@cache
def _images(part: str) -> tuple[Tensor, Tensor]:
    folder = next((f for f in (PACKAGED, KEPT) if (f / f"{part}-images-idx3-ubyte.gz").exists()), None)
    if folder is None:
        _fetch()
        folder = KEPT
    pixels = np.frombuffer(
        gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    )
    labels = np.frombuffer(
        gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )
    x = torch.tensor(pixels.reshape(-1, 784) / np.float32(255))
    return x, torch.tensor(labels.astype(np.int64))


def _fetch() -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "dataset-fashion-mnist"], cwd=folder, check=True)
        package = next(Path(folder).glob("*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "out"], cwd=folder, check=True)
        for path in (Path(folder) / f"out{PACKAGED}").glob("*.gz"):
            (KEPT / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    torch.set_num_threads(2)
    truth()
    train_large()
