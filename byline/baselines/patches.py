"""Patch similarity: training images that have patches like the query's come first, wherever they are in the image.

    score(q, d) = mean over patches a of q of  max over patches b of d of  a . b / (|a| |b|)

with the mean of the training set's numbers taken off every image, since patches of positive numbers all have about the same
direction. A patch without contrast counts as zero. It is the baseline of diffusion models, whose attribution is often no
better than likeness.

Letters: Q queries, R training points, P patches of an image, D numbers of a patch.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from byline.baselines.base import DEFAULT, FitOptions, batches
from byline.errors import InvalidTask
from byline.models.training_points import faulty_item_named
from byline.task import Item, Task

SMALLEST = 4
"""Least width of a patch, where the image has as much: smaller ones are all alike."""
PARTS = 4
"""Patches that fit beside each other in an image, without overlap."""
_BLOCK_NUMBERS = 1 << 24
"""Products that are made at once: 64 MB."""


class Patches:
    """Ranks training images by the patches that they share with a query."""

    def __init__(self, images_R: Tensor, mean: float, task: Task) -> None:
        self._images_R, self._mean, self._task = images_R, mean, task

    @classmethod
    def require(cls, task: Task) -> None:
        """Require that items have an image.

        Raises:
            InvalidTask: `Task.image` is not declared.
        """
        if task.image is None:
            raise InvalidTask(
                "expected Task.image, which the baseline patches compares, got None: declare it, `item -> tensor`"
            )

    @classmethod
    def fit(cls, task: Task, fitting: FitOptions = DEFAULT) -> Self:
        """Read the training set once.

        Args:
            task: With `image`.
            fitting: Its model is not used.

        Returns:
            Memory holds all images in float32.

        Raises:
            InvalidTask: `Task.image` is not declared, or the images have different shapes.
        """
        cls.require(task)
        images_R = torch.cat([_images(task, part) for part in batches(task, fitting)])
        return cls(images_R, float(images_R.double().mean()), task)

    def scores(self, items: Sequence[Item]) -> NDArray[np.float64]:
        """Score every training point.

        Args:
            items: Q items.

        Returns:
            float64 [Q, R], from -1 to 1.
        """
        query_QPD = patches(_images(self._task, items) - self._mean)
        count = query_QPD.shape[1]
        step = max(1, _BLOCK_NUMBERS // (len(query_QPD) * count * count))
        found = [_scores(query_QPD, patches(part - self._mean)) for part in torch.split(self._images_R, step)]
        return torch.cat(found, dim=1).double().numpy()


def patches(images_N: Tensor) -> Tensor:
    """Cut images into square patches that overlap by half, and divide each by its length.

    Args:
        images_N: [N, C, H, W].

    Returns:
        [N, P, D].
    """
    height, width = images_N.shape[-2:]
    size = min(height, width, max(SMALLEST, min(height, width) // PARTS))
    cut_NDP = F.unfold(images_N, size, stride=max(1, size // 2))
    return F.normalize(cut_NDP.transpose(1, 2), dim=2)


def _scores(query_QPD: Tensor, train_RPD: Tensor) -> Tensor:
    likeness = torch.einsum("qad,rbd->qrab", query_QPD, train_RPD)
    return likeness.amax(dim=3).mean(dim=2)


def _images(task: Task, items: Sequence[Item]) -> Tensor:
    assert task.image is not None
    with faulty_item_named(items, lambda item: _image(task, item)):
        found = [_image(task, item) for item in items]
        shapes = sorted({tuple(image.shape) for image in found})
        if len(shapes) > 1:
            raise InvalidTask(f"expected images of one shape, got {shapes[0]} and {shapes[1]}: resize them")
    return torch.stack(found)


def _image(task: Task, item: Item) -> Tensor:
    found = task.image(item) if task.image is not None else None
    if not isinstance(found, Tensor) or found.ndim not in {2, 3} or not found.is_floating_point():
        raise InvalidTask(
            "expected Task.image to return floating numbers of shape [C, H, W] or [H, W], got another"
        )
    image = found.detach().cpu().float()
    return image if image.ndim == 3 else image[None]
