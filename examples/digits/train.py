"""Trains the digit classifier: `python -m examples.digits.train`. Takes seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import track
from safetensors.torch import save_file
from torch import nn

from examples.digits.task import FOLDER, TRAINED_ON, digits, fit


def train(rows: Sequence[int], seed: int, epochs: int = 20) -> nn.Module:
    """Train one classifier on some of the digits; see `examples.digits.task.fit`."""
    pixels_ND, labels_N = digits()
    return fit(pixels_ND[list(rows)], labels_N[list(rows)], seed, epochs)


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
