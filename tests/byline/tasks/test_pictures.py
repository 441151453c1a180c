"""Training images become thumbnails in the units of the training data."""

import pytest
import torch
from torch.utils.data import TensorDataset

from byline.api.example import Example
from byline.api.thumbnails import png
from byline.tasks.pictures import pictured


def images(*shape: int) -> torch.Tensor:
    return torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))


def described(data: torch.Tensor, row: int) -> Example:
    items = TensorDataset(data, torch.zeros(len(data)))
    return pictured(lambda row: Example(id=f"{row}"), items)(row)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8)])
def test_images_of_zero_to_one_and_of_minus_one_to_one(shape: tuple[int, ...]) -> None:
    data = images(*shape)
    for row in range(6):
        assert described(data, row).image == png(data[row])
        assert described((2 * data.double() - 1), row).image == png(data[row].double())


def test_one_dark_image_has_the_units_of_all() -> None:
    data = 2 * images(1, 4, 4) - 1
    data[3] = 0.5
    assert described(data, 3).image == png(torch.full((4, 4), 0.75))


@pytest.mark.parametrize("data", [4 * images(3, 8, 8), images(2, 8, 8), images(16, 8, 8), images(8)])
def test_latents_and_normalized_images_have_none(data: torch.Tensor) -> None:
    assert described(data, 0).image is None


def test_an_own_thumbnail_stays() -> None:
    own = Example(id="a", image=torch.ones(2, 2))  # type: ignore[arg-type]
    items = TensorDataset(images(1, 4, 4), torch.zeros(6))
    assert pictured(lambda row: own, items)(0) is own  # type: ignore[arg-type]
