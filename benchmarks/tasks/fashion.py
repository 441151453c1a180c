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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.tasks import CACHE
from benchmarks.tasks.networks import Data, Protocol, query_losses, state_dicts, train_many
from benchmarks.tasks.truth import Retraining, keep_truth, random_halves
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
KEPT = CACHE / "fashion-mnist"
TRUTH = KEPT / "truth.npz"
"""Truth of the reported queries."""
TUNING_TRUTH = KEPT / "tuning.npz"
"""Truth of the tuning queries."""
WIDTHS = (784, 128, 64, 10)
FULL = Protocol(train=4000, queries=100, tuning=100, subsets=100, seeds=2, epochs=30, learning_rate=0.02)
MODELS = 5
TOGETHER = 10
"""Networks that are trained as one: as many as fit in a processor's cache."""
LARGEST = 60_000


def network() -> nn.Module:
    """Build 784-128-64-10 with dropout."""
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
    """Declare the Task, whose evaluation set is the reported queries: 4,000 images, and five models trained on them."""
    return _task(reported=True)


def tuning() -> Task:
    """Declare the same with the tuning queries."""
    return _task(reported=False)


def _task(*, reported: bool) -> Task:
    points = data(FULL.train)
    examples = [Example(id=f"image-{row}", label=str(int(y))) for row, y in enumerate(points.y)]
    trained = TrainedModel(
        name="fashion",
        model=network,
        checkpoints=[Checkpoint(weights=load_file(path)) for path in sorted(KEPT.glob("seed-*.safetensors"))],
        data=TrainingData.from_arrays(points.x, points.y, examples),
    )
    made = vector_classification(trained, classes=[str(kind) for kind in range(10)])
    queries = points.queries
    return replace(made, evaluation_set=queries[: FULL.queries] if reported else queries[FULL.queries :])


def prepare() -> None:
    """Train the models that are attributed, retrain on random halves, and write the truth; finished files stay."""
    points, halves = data(FULL.train), random_halves(FULL.subsets, FULL.train)
    rows_MS = torch.tensor(np.stack([np.flatnonzero(half) for half in halves]))

    def train(subsets: range, seed: int) -> np.ndarray:
        part = subsets.start // TOGETHER
        parameters = train_many(points, rows_MS[list(subsets)], FULL, 1000 + seed * 100 + part, WIDTHS)
        return -query_losses(parameters, points).numpy()

    retraining = Retraining(subsets_SR=halves, seeds=FULL.seeds, together=TOGETHER, train=train)
    reported, others = slice(0, FULL.queries), slice(FULL.queries, None)
    keep_truth(retraining, {TRUTH: reported, TUNING_TRUTH: others})
    for seed in range(MODELS):
        path = KEPT / f"seed-{seed}.safetensors"
        if not path.exists():
            parameters = train_many(points, torch.arange(FULL.train)[None], FULL, 77 + seed, WIDTHS)
            save_file(state_dicts(parameters)[0], path)


def data(rows: int) -> Data:
    """Take the first training images, and the first test images as queries: the reported ones, then those for tuning."""
    x, y = images("train")
    query_x, query_y = images("t10k")
    count = FULL.queries + FULL.tuning
    return Data(x[:rows], y[:rows], query_x[:count], query_y[:count])


@cache
def images(part: str) -> tuple[Tensor, Tensor]:
    """Read pixels in [0, 1] and labels of `train` or `t10k`."""
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
