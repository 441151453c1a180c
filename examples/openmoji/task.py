"""What Byline must know about the classifier of drawings: all of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from byline.api.example import Example
from byline.api.thumbnails import png
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, image_classification
from examples.openmoji.drawings import LICENSE, Drawing, read

FOLDER = Path(__file__).resolve().parents[2] / ".demo" / "openmoji"
EPOCHS = 16
BATCH = 64


def model(groups: int) -> nn.Module:
    """Build the classifier: two convolutions and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, groups),
    )


def fit(
    images_N: torch.Tensor, labels_N: torch.Tensor, groups: int, seed: int, epochs: int = EPOCHS
) -> nn.Module:
    """Train one classifier.

    Args:
        images_N: What to train on, [N, 3, 32, 32] in [0, 1].
        labels_N: Positions of their groups.
        groups: How many there are.
        seed: Of the first weights and the order.
        epochs: Passes over the drawings.

    Returns:
        The classifier, in evaluation mode.
    """
    torch.manual_seed(seed)
    classifier = model(groups).train()
    steps = epochs * -(-len(images_N) // BATCH)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(images_N)).split(BATCH):
            loss = F.cross_entropy(classifier(images_N[batch]), labels_N[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def arrays(folder: Path) -> tuple[torch.Tensor, torch.Tensor, list[Drawing], list[str]]:
    """Read the drawings: images in [0, 1], positions of their groups, records, and the groups' names."""
    pixels, drawings = read(folder)
    groups = sorted({drawing.group for drawing in drawings})
    labels = torch.tensor([groups.index(drawing.group) for drawing in drawings])
    return torch.from_numpy(pixels).float() / 255, labels, drawings, groups


def split(drawings: Sequence[Drawing], *, held_out: bool) -> list[int]:
    """Positions of the drawings that are trained on, or of those for queries."""
    return [i for i, drawing in enumerate(drawings) if drawing.held_out == held_out]


def task(folder: Path = FOLDER) -> Task:
    """Declare the classifier that the demo trained.

    Args:
        folder: Holds the drawings and `seed-N.safetensors`.

    Returns:
        The task; each drawing's author is its owner.
    """
    images_N, labels_N, drawings, groups = arrays(folder)
    kept, asked = split(drawings, held_out=False), split(drawings, held_out=True)
    train_N, train_labels_N = images_N[kept], labels_N[kept]
    trained = TrainedModel(
        name="openmoji",
        model=lambda: model(len(groups)),
        checkpoints=[Checkpoint(weights=path) for path in sorted(folder.glob("seed-*.safetensors"))],
        data=TrainingData.from_arrays(
            train_N, train_labels_N, [example(drawings[i], images_N[i]) for i in kept]
        ),
    )

    def train(rows: Sequence[int], seed: int) -> dict[str, torch.Tensor]:
        chosen = list(rows)
        return fit(train_N[chosen], train_labels_N[chosen], len(groups), seed).state_dict()

    return replace(
        image_classification(trained, classes=groups),
        train=train,
        evaluation_set=TensorDataset(images_N[asked], labels_N[asked]),
    )


def example(drawing: Drawing, image_CHW: torch.Tensor) -> Example:
    """Credit a drawing to its author.

    Args:
        drawing: Its record.
        image_CHW: Its pixels, [3, H, W] in [0, 1].
    """
    return Example(
        id=drawing.hexcode,
        owner=drawing.author,
        license=LICENSE,
        uri=f"https://openmoji.org/library/emoji-{drawing.hexcode}/",
        label=drawing.group,
        preview=drawing.title,
        image=png(image_CHW),
    )
