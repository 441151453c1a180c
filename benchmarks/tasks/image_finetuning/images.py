"""Images of the case: half of the classes for pretraining, the others by owners for fine-tuning, and queries.

Owners are made up, since Fashion-MNIST names none: each has a mixture of the later classes of its own, and no image is two
owners'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks.fashion import images
from benchmarks.tasks.image_finetuning.protocol import SMOKE, Protocol
from benchmarks.tasks.networks import Data

FIRST_LATER_CLASS = 5
"""Classes from this one on are fine-tuned on; those before it are for pretraining."""


@dataclass(frozen=True)
class Images:
    """The two parts of the training set, and the queries."""

    pretraining: Data
    """Images of the earlier classes."""
    train: Data
    """Images of the later classes, an owner's images together."""
    owners: list[str]
    """Owner of each training image."""


@cache
def images_of(protocol: Protocol) -> Images:
    """Split the images. Queries are other images of the later classes, the reported ones first."""
    x, y, query_x, query_y = _made_up(protocol) if protocol.name == SMOKE.name else _real()
    later = query_y >= FIRST_LATER_CLASS
    kept = protocol.queries + protocol.tuning
    queries = query_x[later][:kept], query_y[later][:kept]
    earlier = torch.nonzero(y < FIRST_LATER_CLASS).flatten()[: protocol.pretraining_images]
    rows = torch.tensor([row for own in _owned(y, protocol) for row in own])
    names = [f"owner-{owner:02d}" for owner in range(protocol.owners) for _ in range(protocol.images)]
    return Images(Data(x[earlier], y[earlier], *queries), Data(x[rows], y[rows], *queries), names)


def _owned(y: Tensor, protocol: Protocol) -> list[list[int]]:
    """Draw each owner's rows, by a mixture of classes of its own."""
    rng = np.random.default_rng(5)
    kinds = range(FIRST_LATER_CLASS, int(y.max()) + 1)
    left = {kind: torch.nonzero(y == kind).flatten().tolist() for kind in kinds}
    return [
        _drawn(left, rng.dirichlet([protocol.concentration] * len(kinds)), rng, protocol)
        for _ in range(protocol.owners)
    ]


def _drawn(
    left: dict[int, list[int]], mixture: Sequence[float], rng: np.random.Generator, protocol: Protocol
) -> list[int]:
    """Take one owner's rows out of those that are left."""
    kinds = rng.choice(list(left), size=protocol.images, p=mixture)
    return [left[int(kind)].pop(0) for kind in kinds]


def _real() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return *images("train"), *images("t10k")


def _made_up(protocol: Protocol) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy copies of one pattern a class, for tests without a network."""
    generator = torch.Generator().manual_seed(6)
    classes, pixels = protocol.widths[-1], protocol.widths[0]
    patterns = torch.rand(classes, pixels, generator=generator)
    y = torch.arange(60 * classes) % classes
    x = patterns[y] + 0.3 * torch.randn(len(y), pixels, generator=generator)
    half = len(y) // 2
    return x[:half], y[:half], x[half:], y[half:]
