"""Values of the axes, as people type them."""

import pytest
from pydantic import ValidationError

from byline_indexer.evaluation.grid import Grid, Masks, Models, Size


def test_sizes_are_read() -> None:
    found = Grid.model_validate({"sizes": ["2048", "65536:1024", ":512", 8]}).sizes
    assert found == (
        Size(coordinates=2048), Size(coordinates=65536, pca=1024), Size(pca=512), Size(coordinates=8),
    )  # fmt: skip


def test_checkpoints_are_read() -> None:
    found = Grid.model_validate({"checkpoints": ["all", "2", "0,1"]}).checkpoints
    assert found == (Models(), Models(positions=(2,)), Models(positions=(0, 1)))


def test_masks_are_read() -> None:
    found = Grid.model_validate({"masks": ["none", "10", "10:0.3", "5:0.5:whole", "5::whole"]}).masks
    assert found == (
        Masks(), Masks(count=10), Masks(count=10, rate=0.3), Masks(count=5, rate=0.5, queries="whole"),
        Masks(count=5, queries="whole"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"sizes": [":"]}, {"sizes": ["0"]}, {"sizes": ["a:b"]}, {"checkpoints": ["first"]}, {"checkpoints": ["-1"]},
        {"masks": ["5:2"]}, {"masks": ["5:0.5:half"]}, {"masks": ["5:0.5:whole:more"]}, {"dampings": [0]},
        {"refine": [-1]}, {"weights": [-0.1]}, {"rows": []}, {"columns": [1]},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given: dict[str, list[object]]) -> None:
    with pytest.raises(ValidationError):
        Grid.model_validate(given)
