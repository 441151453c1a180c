"""Training points are put into groups by column, at random or by k-means."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from byline.errors import BylineError, InvalidTask
from byline.groups import GroupOptions
from byline_indexer.build.partition import MOST_FOUND_ON, clustering_sample, partition
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Silent
from byline_indexer.units.plan import Numerics
from tests.indexer import tiny_task
from tests.indexer.build.test_group_rows import TASK

NUMERICS = Numerics(block_rows=32, batch_rows=16, threads=1, device="cpu", precision="float32")


@pytest.mark.parametrize("of", ["inputs", "last_layer_gradients"])
def test_kmeans_puts_like_to_like(of: str) -> None:
    task = tiny_task.task()
    options = GroupOptions(by="kmeans", of=of, count=9)
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    members = partition(task, config.recipe, options, NUMERICS, Silent())
    again = partition(task, config.recipe, options, NUMERICS, Silent())
    assert np.array_equal(members.rows_R, again.rows_R)
    assert 2 <= len(members) <= 9
    assert members.sizes.min() >= 1
    assert sorted(members.rows_R.tolist()) == list(range(tiny_task.ROWS))
    if of == "inputs":
        inputs = torch.stack([task.train_set[row][0] for row in range(tiny_task.ROWS)]).numpy()
        spread = sum(inputs[members[j]].var(axis=0).sum() * len(members[j]) for j in range(len(members)))
        assert spread < 0.75 * inputs.var(axis=0).sum() * tiny_task.ROWS


def test_kmeans_of_inputs_wants_them_of_one_size() -> None:
    task = tiny_task.task()
    mixed = [(torch.zeros(3 + row % 2), 0) for row in range(tiny_task.ROWS)]
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    options = GroupOptions(by="kmeans", of="inputs", count=9)
    with pytest.raises(InvalidTask, match="got 3 to 4 numbers"):
        partition(replace(task, train_set=mixed), config.recipe, options, NUMERICS, Silent())


def test_kmeans_finds_its_centres_on_so_many_points() -> None:
    assert clustering_sample(10) == 640
    assert clustering_sample(100_000) == MOST_FOUND_ON
    assert clustering_sample(1 << 20) == 1 << 20


def test_columns_and_random_groups() -> None:
    task = tiny_task.task()
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    by_label = partition(task, config.recipe, GroupOptions(by="label"), NUMERICS, Silent())
    assert len(by_label) == 3
    for j in range(3):
        assert len({task.describe(int(row)).label for row in by_label[j]}) == 1
    dealt = partition(task, config.recipe, GroupOptions(by="random", size=8), NUMERICS, Silent())
    assert set(dealt.sizes.tolist()) <= {7, 8}
    other = partition(task, config.recipe, GroupOptions(by="random", size=8, seed=1), NUMERICS, Silent())
    assert not np.array_equal(dealt.rows_R, other.rows_R)
    with pytest.raises(BylineError, match="attributes"):
        partition(task, config.recipe, GroupOptions(by="attributes.none"), NUMERICS, Silent())
