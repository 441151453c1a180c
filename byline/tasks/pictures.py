"""Thumbnails of training images, from the very tensors that a model is trained on."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from byline.api.example import Example
from byline.api.thumbnails import png
from byline.models.training_points import read_items
from byline.task import TrainSet

_LOOKED_AT = 64
"""Images whose numbers tell the units of all."""


def pictured(describe: Callable[[int], Example], items: TrainSet) -> Callable[[int], Example]:
    """Give examples without a thumbnail one of their image.

    Images of other units than 0 to 1 and -1 to 1, or of 2 or more than 4 channels, such as latents, get none.

    Args:
        describe: `Task.describe`.
        items: (image, label) pairs, with images [H, W] or [C, H, W].

    Returns:
        Another `Task.describe`.
    """

    @cache
    def lowest() -> float | None:
        step = max(1, len(items) // _LOOKED_AT)
        images = [item[0] for item in read_items(items, range(0, len(items), step)[:_LOOKED_AT])]
        low = min(float(image.min()) for image in images)
        high = max(float(image.max()) for image in images)
        drawn = images[0].ndim == 2 or (images[0].ndim == 3 and len(images[0]) in {1, 3, 4})
        return None if not drawn or low < -1 or high > 1 else -1.0 if low < 0 else 0.0

    def described(row: int) -> Example:
        example = describe(row)
        low = lowest()
        if example.image is not None or low is None:
            return example
        (item,) = read_items(items, [row])
        return example.model_copy(update={"image": png(_unit(item[0], low))})

    return described


def _unit(image: Tensor, low: float) -> Tensor:
    """Rescale an image from `low` .. 1 to 0 .. 1."""
    return ((image.to(torch.float64) - low) / (1 - low)).clamp(0, 1)
