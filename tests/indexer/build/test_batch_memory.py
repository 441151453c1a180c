"""Batches get as long as the memory of a build allows, by shapes alone."""

from byline.members import MemberPlan
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Task
from byline_indexer.build.batch_memory import LEAST, ItemCost, batch_length, item_cost
from byline_indexer.units.batches import item_length


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
