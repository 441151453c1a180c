"""Batches of items of like length: bounded, whatever the order of the data, and the same at every restart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from byline.models.training_points import NamedItems
from byline_indexer.units import batches
from byline_indexer.units.batches import WINDOW, BatchLimits, item_batches, item_length, packs

LENGTHS = np.random.default_rng(0).integers(1, 100, size=3 * WINDOW // 2).tolist()


def read(rows: np.ndarray) -> NamedItems:
    return NamedItems([torch.zeros(LENGTHS[row]) for row in rows], [f"row {row}" for row in rows])


def test_every_item_is_in_one_batch_of_bounded_size() -> None:
    limits = BatchLimits(rows=8, length=300)
    made = list(packs(LENGTHS, limits))
    assert sorted(place for pack in made for place in pack) == list(range(len(LENGTHS)))
    for pack in made:
        longest = max(LENGTHS[place] for place in pack)
        assert len(pack) <= 8
        assert len(pack) * longest <= 300


def test_an_item_beyond_the_limit_is_alone() -> None:
    assert list(packs([5, 400, 5], BatchLimits(rows=8, length=300))) == [[1], [0, 2]]


def test_items_of_one_length_keep_their_order() -> None:
    assert list(packs([7] * 5, BatchLimits(rows=2))) == [[0, 1], [2, 3], [4]]


def test_sorted_batches_have_little_padding() -> None:
    def padded(batches: list[list[int]]) -> int:
        return sum(len(pack) * max(LENGTHS[place] for place in pack) for pack in batches)

    in_order = [list(range(start, min(start + 32, WINDOW))) for start in range(0, WINDOW, 32)]
    by_length = list(packs(LENGTHS[:WINDOW], BatchLimits(rows=32)))
    tokens = sum(LENGTHS[:WINDOW])
    assert padded(in_order) > 1.7 * tokens
    assert padded(by_length) < 1.15 * tokens


def test_rows_go_with_their_items() -> None:
    rows = np.arange(len(LENGTHS), dtype=np.int64)[::-1]
    met = []
    for batch, items in item_batches(rows, BatchLimits(rows=16, length=900), read):
        assert [len(item) for item in items] == [LENGTHS[row] for row in batch]
        assert items.names == [f"row {row}" for row in batch]
        met += batch.tolist()
    assert sorted(met) == sorted(rows.tolist())


def test_a_length_counts_all_that_an_item_holds() -> None:
    assert item_length({"input_ids": torch.zeros(9), "labels": [1] * 9}) == 18
    assert item_length(3.0) == 1


@pytest.mark.parametrize("limits", [BatchLimits(rows=8), BatchLimits(rows=64, length=40)])
def test_large_items_are_not_read_long_before_their_batch(
    limits: BatchLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WINDOW_BYTES", 1000)
    ahead, most = 0, 0

    def read_images(rows: np.ndarray) -> NamedItems:
        nonlocal ahead, most
        ahead += len(rows)
        most = max(most, ahead)
        return NamedItems([(torch.zeros(1, 4), {"pixels": torch.zeros(100)}) for _ in rows], map(str, rows))

    limits = replace(limits, length=limits.length and 8 * item_length(read_images(np.zeros(1))[0]))
    ahead, most, met = 0, 0, []
    for batch, _ in item_batches(np.arange(60), limits, read_images):
        assert len(batch) == min(8, 60 - len(met))
        met += batch.tolist()
        ahead -= len(batch)
    assert met == list(range(60))
    assert most == 8
