"""What Byline must know about the digit classifier: all of it."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from byline.examples import Example
from byline.task import Checkpoint, Task
from byline.tasks import Trained, TrainingData, vector_classification

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


def task(folder: Path = FOLDER) -> Task:
    """Declare the classifier that `python -m examples.digits.train` trained.

    Args:
        folder: Holds `seed-N.safetensors`.

    Returns:
        The task.
    """
    pixels_ND, labels_N = (part[:TRAINED_ON] for part in digits())
    examples = [
        Example(id=f"digit-{row}", label=str(int(label)), preview=drawing(pixels.numpy()))
        for row, (pixels, label) in enumerate(zip(pixels_ND, labels_N, strict=True))
    ]
    trained = Trained(
        name="digits",
        model=model,
        checkpoints=[Checkpoint(weights=path) for path in sorted(folder.glob("seed-*.safetensors"))],
        data=TrainingData.from_arrays(pixels_ND, labels_N, examples),
    )
    return vector_classification(trained, classes=[str(digit) for digit in range(10)])


def drawing(pixels_D: np.ndarray) -> str:
    """Draw a digit with characters, for people."""
    levels = (pixels_D.reshape(8, 8) * (len(SHADES) - 1)).round().astype(int)
    return "\n".join("".join(SHADES[level] for level in row) for row in levels)
