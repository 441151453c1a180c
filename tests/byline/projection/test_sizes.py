"""Sizes that no one set follow from the blocks: those of small models stay, those of deep ones shrink until they fit."""

import pytest

from byline.gradients.outer_products.blocks import Block
from byline.projection.factorised import FactorisedProjection
from byline.projection.masking import FactorisedGrassProjection
from byline.projection.sizes import MATRICES, matrix_bytes


def layers(count: int, rows: int = 576, columns: int = 1536) -> list[Block]:
    return [
        Block(name=f"{n}.weight", parameters=(f"{n}.weight",), shapes=((rows, columns),), form="matrix")
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (8, {"size_in": 64, "size_out": 32}),
        (48, {"size_in": 32, "size_out": 32}),
        (210, {"size_in": 32, "size_out": 16}),
        (2000, {"size_in": 16, "size_out": 8}),
    ],
)
def test_deep_models_get_smaller_sides(count: int, sizes: dict[str, int]) -> None:
    projection = FactorisedProjection()
    assert projection.sizes(layers(count)) == sizes
    widths = projection.projector(layers(count), {}).widths
    assert set(widths.values()) == {sizes["size_in"] * sizes["size_out"]}
    assert matrix_bytes(widths.values()) <= MATRICES


def test_narrow_sides_count_as_they_are() -> None:
    assert FactorisedProjection().sizes(layers(1000, rows=4, columns=8)) == {"size_in": 64, "size_out": 32}


def test_sizes_that_are_set_stay() -> None:
    assert FactorisedProjection(size_in=64, size_out=32).sizes(layers(210)) == {"size_in": 64, "size_out": 32}
    assert FactorisedProjection(size_in=64).sizes(layers(210)) == {"size_in": 64, "size_out": 8}
    assert FactorisedGrassProjection(size=2048).sizes(layers(210)) == {"size": 2048}


def test_hashed_sizes_shrink_too() -> None:
    assert FactorisedGrassProjection().sizes(layers(8)) == {"size": 2048}
    assert FactorisedGrassProjection().sizes(layers(210)) == {"size": 512}
    assert set(FactorisedGrassProjection().projector(layers(210), {}).widths.values()) == {512}
