"""The selection of layers whose gradients are taken."""

import pytest
import torch

from byline.errors import InvalidTask
from byline.gradients.checks import build_collector, last_layer
from byline.task import LayerSelection
from tests.reference import models, reference


def test_selection_by_pattern() -> None:
    case = models.mlp()
    collector = build_collector(
        case.model, case.loss, case.sample, LayerSelection(include=("3", "5"), exclude=("5",))
    )
    assert [b.parameters for b in collector.blocks] == [("3.weight", "3.bias")]
    with pytest.raises(InvalidTask, match="none of"):
        build_collector(case.model, case.loss, case.sample, LayerSelection(include=("nothing.*",)))


def test_a_tied_weight_is_one_block_with_the_sum_of_its_uses() -> None:
    case = models.transformer()
    collector = build_collector(case.model, case.loss, case.sample, LayerSelection(include=("head",)))
    assert [b.name for b in collector.blocks] == ["tokens.weight"]


def test_the_last_layer_alone_with_a_head_of_its_own() -> None:
    """The transformer's head is tied to its embedding: what the head does with the weight, and nothing else."""
    case = models.transformer()
    tied = sum(p.numel() for p in case.model.parameters())
    chosen = last_layer(case.model, case.loss, case.sample)
    collector = build_collector(case.model, case.loss, case.sample, chosen)
    (block,) = collector.blocks
    assert block.name == "head.weight"
    assert sum(p.numel() for p in case.model.parameters()) == tied + block.rows * block.columns
    found = collector.collect(case.loss, case.batch, case.count).blocks[block.name].dense()
    rows = reference.gradients_one_by_one(
        case.model, case.loss, [case.one(n) for n in range(case.count)], ["head.weight"]
    )
    expected = torch.stack([row["head.weight"] for row in rows])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
