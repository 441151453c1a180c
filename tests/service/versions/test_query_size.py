"""The numbers of a query are counted from its schema: flat, nested, optional and of several fields."""

from typing import Annotated

import pytest
import torch
from pydantic import BaseModel, Field

from byline.tasks.denoiser import denoiser_payload
from byline.tasks.payloads import causal_text_payload, image_payload, vector_payload
from byline_service.versions.query_size import most_numbers


class Tree(BaseModel):
    """Holds itself."""

    leaf: float
    branch: "Tree | None" = None


class Two(BaseModel):
    """Two lists, one without a bound."""

    bounded: Annotated[list[float], Field(max_length=7)]
    free: list[float]


@pytest.mark.parametrize("shape", [(5, 4), (1, 5, 4), (3, 16, 16)])
def test_images_are_counted_in_any_form(shape: tuple[int, ...]) -> None:
    pixels = torch.Size(shape).numel()
    assert pixels <= most_numbers(image_payload(torch.zeros(shape))) <= pixels + 1
    assert pixels < most_numbers(denoiser_payload(torch.zeros(shape))) <= pixels + 2


def test_other_payloads() -> None:
    assert 9 <= most_numbers(vector_payload(torch.zeros(9))) <= 10
    assert most_numbers(causal_text_payload(8)) < 10
    assert most_numbers(Two) == 8
    assert most_numbers(Tree) == 1
