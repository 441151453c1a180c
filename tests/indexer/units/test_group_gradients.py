"""Groups share batches that are no longer than others of the build."""

import torch

from byline.features.featurizer import MemberFeaturizer
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.training_points import read_items
from byline.recipes import recipe
from byline.task import Task
from byline.types import Rows
from byline_indexer.units.batches import BatchLimits
from byline_indexer.units.group_gradients import GroupPass, packs, sharing


def test_groups_of_like_sizes_are_packed() -> None:
    found = list(packs([5, 1, 9, 3, 2, 20], 8))
    assert sorted(place for pack in found for place in pack) == list(range(6))
    assert [5] in found, "a group of more than a pack is alone"
    assert all(len(pack) == 1 or sum([5, 1, 9, 3, 2, 20][place] for place in pack) <= 8 for pack in found)


def test_a_shared_batch_is_no_longer_than_the_limit() -> None:
    lengths = [[10, 12], [100], [9], [11, 8, 7], [90, 3]]
    limits = BatchLimits(32, 110)
    parts = list(sharing(lengths, limits))
    assert sorted(place for part in parts for place in part) == list(range(5))
    for part in parts:
        own = [length for place in part for length in lengths[place]]
        assert len(part) == 1 or len(own) * max(own) <= 110
    assert [1] in parts
    assert list(sharing(lengths, BatchLimits(32))) == [[1, 4, 0, 3, 2]], "without a limit all share one"


def test_short_batches_change_no_sum(tiny: Task) -> None:
    chosen = recipe("grad_dot", projection={"size": 24})
    model = MemberModel.load(tiny, chosen, Member(0))
    groups = [torch.tensor(rows).numpy() for rows in ([0, 1, 2], [3], list(range(4, 14)), [14, 15])]
    batches: list[int] = []

    def features(limits: BatchLimits) -> torch.Tensor:
        def read(rows: Rows) -> list:
            return read_items(tiny.train_set, rows)

        made = GroupPass(
            model=model,
            featurizer=MemberFeaturizer(chosen, model.blocks, {}),
            read=read,
            weights=lambda rows: torch.ones(len(rows), dtype=torch.float64),
            limits=limits,
            signal="loss",
        )
        return made.features(groups)

    own = model.gradients

    def watched(items: list, target: str = "loss"):
        batches.append(len(items))
        return own(items, target)

    model.gradients = watched  # type: ignore[method-assign]
    whole = features(BatchLimits(32))
    assert batches == [16]
    batches.clear()
    short = features(BatchLimits(32, 7 * 4))
    assert max(batches, default=0) <= 4
    torch.testing.assert_close(short, whole, rtol=1e-4, atol=1e-5)
