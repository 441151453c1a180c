"""The protocol: sizes, and how networks are pretrained and fine-tuned. Everything that the truth depends on."""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn


@dataclass(frozen=True)
class Protocol:
    """A case."""

    name: str = "image-finetuning"
    owners: int = 18
    images: int = 36
    """Images of each owner."""
    concentration: float = 0.5
    """Of the Dirichlet distribution of each owner's mixture of classes. Small: an owner has few classes."""
    queries: int = 150
    """Reported queries."""
    tuning: int = 90
    """Further queries, by which dampings and sizes are chosen."""
    widths: tuple[int, ...] = (784, 64, 32, 10)
    pretraining_images: int = 4000
    pretraining_epochs: int = 5
    pretraining_rate: float = 1e-3
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-3
    bases: int = 3
    """Networks that are pretrained, fine-tuned and attributed, each with a truth of its own."""
    orders: int = 2
    """Seeds of the order of training points, common to all subsets."""
    halves: int = 60
    removals: int = 40
    """Random subsets that lack 5 % of the points."""
    along: tuple[float, ...] = (0.08, 0.65, 1.0)
    """Parts of the fine-tuning after which its checkpoints are taken."""
    together: int = 10
    """Networks that are trained as one: as many as fit in a processor's cache."""


FULL = Protocol()
SMOKE = Protocol(
    name="image-finetuning-smoke", owners=4, images=6, queries=6, tuning=4, widths=(16, 8, 10), pretraining_images=40,
    pretraining_epochs=1, batch=4, bases=2, halves=6, removals=6, together=4,
)  # fmt: skip


def network(protocol: Protocol) -> nn.Module:
    """Build the network: linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(protocol.widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
