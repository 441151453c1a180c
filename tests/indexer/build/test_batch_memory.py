"""Batches get as long as the memory of a build allows, by shapes alone."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from byline.api.example import Example
from byline.curvature.sums import WAVE
from byline.members import Member, MemberPlan
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from byline_indexer.build.batch_memory import LEAST, LIBRARIES, ItemCost, batch_length, grown, item_cost
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


class Reader(nn.Module):
    """Predicts every token of a sequence from itself."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(32, 8), nn.Linear(8, vocabulary)

    def forward(self, tokens_NT: Tensor) -> Tensor:
        logits_NTV: Tensor = self.head(self.tokens(tokens_NT))
        return logits_NTV


def reading(vocabulary: int) -> Task:
    """A Task of texts of 12 to 27 tokens."""
    generator = torch.Generator().manual_seed(0)
    items = [torch.randint(32, (12 + row,), generator=generator) for row in range(16)]

    def loss(model: nn.Module, tokens_NT: Tensor) -> Tensor:
        return functional.cross_entropy(model(tokens_NT).transpose(1, 2), tokens_NT, reduction="none").mean(1)

    weights = {name: tensor.detach() for name, tensor in Reader(vocabulary).state_dict().items()}
    return Task(
        name="reading",
        model=partial(Reader, vocabulary),
        checkpoints=[Checkpoint(weights=weights)],
        train_set=items,
        collate=partial(pad_sequence, batch_first=True),
        loss=loss,
        describe=lambda row: Example(id=str(row)),
    )


def test_a_wide_vocabulary_shortens_batches_and_takes_no_more_memory() -> None:
    """A batch's [tokens, vocabulary] tensors are a fixed part of the memory, whatever the vocabulary."""
    memory, lengths = 4 << 30, {}
    for vocabulary in (1_000, 8_000):
        task = reading(vocabulary)
        model = MemberModel.load(task, recipe("logra"), Member(0))
        cost = item_cost(task, model, "loss")
        own = sum(tensor.nbytes for tensor in model.model.parameters())
        lengths[vocabulary] = batch_length(model, cost, memory)
        logits = 4 * vocabulary * lengths[vocabulary]
        assert 4 * logits < memory - LIBRARIES - WAVE - own, "four copies and what the model itself saves"
        assert 20 * logits > memory - LIBRARIES - WAVE - own, "no memory is left unused for long"
    assert lengths[1_000] == pytest.approx(8 * lengths[8_000], rel=0.3)
