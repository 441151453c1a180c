"""A Task of 90 random points that trains in no time, for benchmarks of the service rather than of scores.

It is read from a copy of this file, so it imports nothing from the benchmarks.
"""

from pathlib import Path

import torch
from torch import nn

from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

ROWS, WIDTH, CLASSES = 90, 6, 3
QUERY = [0.5, -1.0, 0.25, 2.0, 0.0, 1.0]


def network() -> nn.Module:
    """Build 6-8-3 with dropout."""
    return nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, CLASSES))


def task() -> Task:
    """Declare the Task over two networks of random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x, y = torch.randn(ROWS, WIDTH), torch.randint(CLASSES, (ROWS,))
        states = [network().state_dict() for _ in range(2)]
    examples = [Example(id=f"point-{row}", owner=f"owner-{row % 7}", license="MIT") for row in range(ROWS)]
    trained = TrainedModel(
        name="tiny",
        model=network,
        checkpoints=[Checkpoint(weights=state, learning_rate=0.1) for state in states],
        data=TrainingData.from_arrays(x, y, examples),
    )
    return vector_classification(trained, classes=[str(label) for label in range(CLASSES)])


def build_tiny(folder: Path, size: int = 24) -> Path:
    """Build an index of the Task in `folder / "index"`.

    Args:
        folder: An empty folder, or one of an earlier call: another size adds a version.
        size: Coordinates of the projection.
    """
    from byline_indexer.build.build import build
    from byline_indexer.config import load_config

    (folder / "tiny.py").write_text(Path(__file__).read_text())
    (folder / "build.toml").write_text(
        f'task = "tiny.py:task"\n[recipe]\nname = "ekfac"\nprojection.size = {size}\nmembers.masks = 2\n'
        '[index]\npath = "index"\n'
    )
    build(load_config(folder / "build.toml"))
    return folder / "index"
