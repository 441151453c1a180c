"""Trains the digit classifier: `python -m examples.digits.train`. Takes seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import track
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from examples.digits.task import FOLDER, TRAINED_ON, digits, model


def train(rows: Sequence[int], seed: int, epochs: int = 20) -> nn.Module:
    """Train one classifier.

    Args:
        rows: Which digits to train on.
        seed: Of the first weights, the dropout and the order.
        epochs: Passes over the rows.

    Returns:
        The classifier, in evaluation mode.
    """
    torch.manual_seed(seed)
    pixels_ND, labels_N = digits()
    chosen = torch.as_tensor(rows)
    classifier = model().train()
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for _ in range(epochs):
        for batch in chosen[torch.randperm(len(chosen))].split(64):
            loss = F.cross_entropy(classifier(pixels_ND[batch]), labels_N[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return classifier.eval()


@torch.no_grad()
def accuracy(classifier: nn.Module) -> float:
    """Share of the digits that were not trained on which the classifier gets right."""
    pixels_ND, labels_N = (part[TRAINED_ON:] for part in digits())
    return float((classifier(pixels_ND).argmax(1) == labels_N).double().mean())


def main(
    folder: Annotated[Path, typer.Option(help="Where the checkpoints go.")] = FOLDER,
    checkpoints: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 4,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training set.")] = 20,
) -> None:
    """Train the classifier from several seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in track(range(checkpoints), description="training digit classifiers"):
        classifier = train(range(TRAINED_ON), seed, epochs)
        save_file(classifier.state_dict(), folder / f"seed-{seed}.safetensors")
        print(f"seed {seed}: {accuracy(classifier):.1%} of the other digits right")
    print("next: byline build examples/digits/byline.toml")


if __name__ == "__main__":
    typer.run(main)
