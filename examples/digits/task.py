"""What Byline must know about the digit classifier: all of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from byline.api.example import Example
from byline.api.thumbnails import png
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

FOLDER = Path(__file__).resolve().parents[2] / ".demo" / "digits"
TRAINED_ON = 1_000
"""The first so many of the 1,797 digits; the others are for queries."""
SHADES = " .:-=+*#%@"


def model() -> nn.Module:
    """Build the classifier: 64-128-64-10 with dropout."""
    return nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(64, 10),
    )


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Read scikit-learn's digits: pixels_ND in [0, 1] and labels_N."""
    pixels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(pixels / 16).float(), torch.from_numpy(labels)


def fit(pixels_ND: torch.Tensor, labels_N: torch.Tensor, seed: int, epochs: int = 20) -> nn.Module:
    """Train one classifier.

    Args:
        pixels_ND: What to train on.
        labels_N: Its labels.
        seed: Of the first weights, the dropout and the order.
        epochs: Passes over the digits.

    Returns:
        The classifier, in evaluation mode.
    """
    torch.manual_seed(seed)
    classifier = model().train()
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(pixels_ND)).split(64):
            loss = F.cross_entropy(classifier(pixels_ND[batch]), labels_N[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier.eval()


def task(folder: Path = FOLDER) -> Task:
    """Declare the classifier that `python -m examples.digits.train` trained.

    Args:
        folder: Holds `seed-N.safetensors`.

    Returns:
        The task. `train`, `evaluation_set` and `mislabeled` are for `byline evaluate`.
    """
    labels_N = digits()[1][:TRAINED_ON]

    def mislabeled(rows: Sequence[int], seed: int) -> Task:
        generator = torch.Generator().manual_seed(seed)
        wrong_N = labels_N.clone()
        wrong_N[list(rows)] += torch.randint(1, 10, (len(rows),), generator=generator)
        return declared(wrong_N % 10, folder)

    return replace(declared(labels_N, folder), mislabeled=mislabeled)


def declared(labels_N: torch.Tensor, folder: Path) -> Task:
    """Declare the classifier with these labels of the digits that it is trained on."""
    pixels_ND, true_N = digits()
    train_ND = pixels_ND[:TRAINED_ON]
    examples = [
        Example(
            id=f"digit-{row}",
            label=str(int(label)),
            preview=drawing(pixels.numpy()),
            image=png(pixels.view(8, 8)),
        )
        for row, (pixels, label) in enumerate(zip(train_ND, labels_N, strict=True))
    ]
    trained = TrainedModel(
        name="digits",
        model=model,
        checkpoints=[Checkpoint(weights=path) for path in sorted(folder.glob("seed-*.safetensors"))],
        data=TrainingData.from_arrays(train_ND, labels_N, examples),
    )

    def train(rows: Sequence[int], seed: int) -> dict[str, torch.Tensor]:
        return fit(train_ND[list(rows)], labels_N[list(rows)], seed).state_dict()

    return replace(
        vector_classification(trained, classes=[str(digit) for digit in range(10)]),
        train=train,
        evaluation_set=TensorDataset(pixels_ND[TRAINED_ON:], true_N[TRAINED_ON:]),
    )


def drawing(pixels_D: np.ndarray) -> str:
    """Draw a digit with characters, for people."""
    levels = (pixels_D.reshape(8, 8) * (len(SHADES) - 1)).round().astype(int)
    return "\n".join("".join(SHADES[level] for level in row) for row in levels)
