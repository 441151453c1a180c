"""Patch similarity finds parts of images wherever they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from byline.baselines.base import FitOptions
from byline.baselines.patches import Patches, patches
from byline.errors import InvalidTask
from tests.indexer import tiny_task


def task_of(images: torch.Tensor):
    return replace(tiny_task.task(), train_set=[(image, 0) for image in images], image=lambda item: item[0])


def brute_force(query: np.ndarray, train: np.ndarray, mean: float, size: int) -> float:
    """The definition, patch by patch."""

    def cut(image: np.ndarray) -> list[np.ndarray]:
        places = range(0, image.shape[-1] - size + 1, size // 2)
        found = [image[:, a : a + size, b : b + size].ravel() - mean for a in places for b in places]
        return [patch / np.linalg.norm(patch) for patch in found]

    best = [max(float(a @ b) for b in cut(train)) for a in cut(query)]
    return float(np.mean(best))


@pytest.mark.parametrize(("channels", "width", "size"), [(1, 8, 4), (3, 20, 5), (2, 4, 4)])
def test_scores_follow_the_definition(channels: int, width: int, size: int) -> None:
    images = torch.rand(7, channels, width, width, generator=torch.Generator().manual_seed(0))
    fitted = Patches.fit(task_of(images[:5]), FitOptions(batch_rows=2))
    found = fitted.scores([(image, 1) for image in images[5:]])
    wanted = [
        [
            brute_force(q.double().numpy(), d.double().numpy(), float(images[:5].double().mean()), size)
            for d in images[:5]
        ]
        for q in images[5:]
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_part_is_found_at_another_place() -> None:
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    query = images[3].roll((4, 8), dims=(1, 2))
    scores = Patches.fit(task_of(images)).scores([(query, 0)])
    assert scores[0].argmax() == 3
    assert np.abs(scores).max() <= 1 + 1e-6


def test_planes_and_empty_images() -> None:
    images = torch.rand(4, 8, 8)
    images[2] = images[[0, 1, 3]].mean()
    fitted = Patches.fit(task_of(images))
    own = fitted.scores([(image, 0) for image in images])
    np.testing.assert_allclose(np.diag(own)[[0, 1, 3]], 1, atol=1e-5)
    assert np.isfinite(own).all()
    assert patches(torch.zeros(1, 1, 8, 8)).abs().max() == 0


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InvalidTask, match=r"Task\.image"):
        Patches.require(replace(tiny_task.task(), image=None))
    with pytest.raises(InvalidTask, match=r"row 0 .*shape \[C, H, W\]|shape \[C, H, W\]"):
        Patches.fit(task_of(torch.rand(3, 5)))
    ragged = replace(task_of(torch.rand(2, 8, 8)), train_set=[(torch.rand(8, 8), 0), (torch.rand(9, 8), 0)])
    with pytest.raises(InvalidTask, match="one shape"):
        Patches.fit(ragged)
