"""Made-up songs, and a small classifier of their genres: all that Byline must know about it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

GENRES = ("folk", "jazz", "rock")
WRITERS = {"Ash": 30, "Birch": 24, "Cedar": 18, "Elm": 12, "Fir": 6}
"""Number of each writer's songs."""
WIDTH = 8
HELD_OUT = 12


def songs() -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Make up the songs: features [N, WIDTH], genres [N] and writers. The last HELD_OUT ones are for questions."""
    generator = torch.Generator().manual_seed(7)
    writers = [writer for writer, count in WRITERS.items() for _ in range(count)] + ["nobody"] * HELD_OUT
    labels_N = torch.arange(len(writers)) % len(GENRES)
    centers = torch.randn(len(GENRES), WIDTH, generator=generator)
    noise = torch.randn(len(writers), WIDTH, generator=generator)
    return centers[labels_N] + 0.8 * noise, labels_N, writers


def fit(features_N: torch.Tensor, labels_N: torch.Tensor, seed: int) -> nn.Module:
    """Train one classifier.

    Args:
        features_N: Features of the songs.
        labels_N: Positions of their genres.
        seed: Seed of the first weights and the order.
    """
    torch.manual_seed(seed)
    classifier = model().train()
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for _ in range(20):
        for batch in torch.randperm(len(features_N)).split(16):
            optimizer.zero_grad()
            F.cross_entropy(classifier(features_N[batch]), labels_N[batch]).backward()
            optimizer.step()
    return classifier.eval()


def model() -> nn.Module:
    """Build the classifier."""
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, len(GENRES)))


def task(folder: Path) -> Task:
    """Declare the classifier that the demo trained.

    Args:
        folder: Folder with `seed-N.safetensors`.
    """
    features_N, labels_N, writers = songs()
    kept = len(writers) - HELD_OUT
    examples = [
        Example(id=f"song-{n}", owner=writer, license="collective", label=GENRES[int(labels_N[n])])
        for n, writer in enumerate(writers[:kept])
    ]
    trained = TrainedModel(
        name="songs",
        model=model,
        checkpoints=[Checkpoint(weights=path) for path in sorted(folder.glob("seed-*.safetensors"))],
        data=TrainingData.from_arrays(features_N[:kept], labels_N[:kept], examples),
    )

    def train(rows: Sequence[int], seed: int) -> dict[str, torch.Tensor]:
        chosen = list(rows)
        return fit(features_N[chosen], labels_N[chosen], seed).state_dict()

    return replace(
        vector_classification(trained, classes=GENRES),
        train=train,
        evaluation_set=TensorDataset(features_N[kept:], labels_N[kept:]),
    )
