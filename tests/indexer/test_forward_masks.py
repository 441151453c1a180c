"""Masks in TRAK's weight only: the weight is their mean of 1 - p, and nothing else of the index changes."""

import numpy as np
import pytest
import torch

from byline.errors import InvalidRecipe
from byline.gradients.masks.mask import DropoutMask
from byline.index.index import AttributionIndex
from byline.models.checkpoints import load_checkpoint
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from tests.indexer.conftest import Config

CHANGES = {"members": {"forward_masks": 3, "mask_seed": 5}}


def expected_weights(task: Task) -> np.ndarray:
    """1 - p from the loss, by hand, over two checkpoints x three masks."""
    found = []
    batch = task.collate(list(task.train_set))
    for checkpoint in task.checkpoints:
        model = task.model().eval()
        load_checkpoint(model, checkpoint)
        for seed in (5, 6, 7):
            with DropoutMask(model, seed).active(), torch.no_grad():
                found.append(1 - (-task.loss(model, batch).double()).exp())
    return torch.stack(found).mean(dim=0).numpy()


def test_the_weight_is_the_mean_over_masks_and_checkpoints(config: Config, tiny: Task) -> None:
    whole = AttributionIndex.open(
        build(config("ekfac_margin", index="whole", storage={"dtype": "fp32"})).path
    )
    index = AttributionIndex.open(
        build(config("ekfac_margin", changes=CHANGES, storage={"dtype": "fp32"})).path
    )
    assert [m.name for m in index.members] == ["c0", "c1"]
    np.testing.assert_allclose(index.row_weights, expected_weights(tiny), atol=1e-5)
    rows = np.arange(90)
    bare = whole.row_source.gather(rows) / whole.row_weights[:, None]
    np.testing.assert_allclose(
        index.row_source.gather(rows), bare * index.row_weights[:, None], rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(
        index.self_influence / index.row_weights, whole.self_influence / whole.row_weights, rtol=1e-6
    )


@pytest.mark.slow
def test_weighs_a_pca_too_and_the_dry_run_counts_it(config: Config, tiny: Task) -> None:
    chosen = config("ekfac_margin", changes={**CHANGES, "pca": {"size": 8}}, workers=2)
    assert {each.name: each.rows for each in estimate(chosen).passes}["weigh"] == 90 * 2 * 3
    index = AttributionIndex.open(build(chosen).path)
    np.testing.assert_allclose(index.row_weights, expected_weights(tiny), atol=1e-5)


def test_needs_a_weight_to_be_in() -> None:
    with pytest.raises(InvalidRecipe, match="one_minus_p"):
        recipe("ekfac", members={"forward_masks": 2})
