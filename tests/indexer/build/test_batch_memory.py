"""Batches get as long as the memory of a build allows, by shapes alone."""

import pytest

from byline.members import MemberPlan
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.batch_memory import LEAST, ItemCost, batch_length, grown, item_cost
from byline_indexer.units.batches import BatchLimits, item_length, packs


def test_more_memory_gives_longer_batches(tiny: Task) -> None:
    chosen = recipe("logra")
    model = MemberModel.load(tiny, chosen, MemberPlan().of(tiny.checkpoints)[0])
    cost = item_cost(tiny, model, "loss")
    assert cost.size == item_cost(tiny, model, "loss").size, "shapes alone"
    assert cost.mean_length == item_length(tiny.train_set[0])
    lengths = [batch_length(model, cost, memory) for memory in (4 << 30, 8 << 30, 1 << 20)]
    assert lengths[0] < lengths[1]
    least = LEAST * (1 << 20) / cost.size
    assert 2**-0.25 * least - 1 <= lengths[2] <= least, "the least part is left to batches"


def test_a_few_bytes_more_or_less_change_no_length(tiny: Task) -> None:
    model = MemberModel.load(tiny, recipe("logra"), MemberPlan().of(tiny.checkpoints)[0])
    lengths = {batch_length(model, ItemCost(size, 1.0, 1.0), 8 << 30) for size in range(70_000, 70_050)}
    assert len(lengths) == 1
    assert len({batch_length(model, ItemCost(2.0**n, 1.0, 1.0), 8 << 30) for n in range(8, 16)}) == 8


def test_attention_that_keeps_its_weights_costs_the_square_of_a_length() -> None:
    def bytes_of(length: int) -> int:
        return 3000 * length + 40 * length**2

    size, square = grown((64, bytes_of(64)), (256, bytes_of(256)))
    for length in (16, 128, 2048):
        assert size * BatchLimits(1, 1, square).cost(length) == pytest.approx(bytes_of(length), rel=0.03)
    limits = BatchLimits(1000, int(64e6 / size), square)
    lengths = [1024] * 10 + [64] * 500
    for pack in packs(lengths, limits):
        assert len(pack) * bytes_of(max(lengths[place] for place in pack)) < 1.03 * 64e6


def test_bytes_that_grow_slowly_are_a_line() -> None:
    assert grown((10, 1000), (100, 5000)) == (100.0, 0.0)
    assert grown((10, 1000), (10, 1000)) == (100.0, 0.0)
    size, square = grown((10, 10), (100, 10**6))
    assert size * 100 * (1 + square * 100) == pytest.approx(10**6, rel=0.03)
