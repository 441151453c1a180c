"""Checks see the first positions of long sequences; other items are whole."""

import torch

from byline.models.excerpts import LONGEST, excerpt


def test_sequences_of_one_length_are_cut() -> None:
    item = {"input_ids": torch.arange(100), "labels": torch.arange(100)}
    cut = excerpt(item)
    assert cut["input_ids"].tolist() == list(range(LONGEST))
    assert cut.keys() == item.keys()
    assert len(excerpt(item, 9)["labels"]) == 9
    assert len(item["labels"]) == 100


def test_other_items_stay_whole() -> None:
    short = {"input_ids": torch.arange(LONGEST)}
    labelled = {"input_ids": torch.arange(100), "label": torch.tensor(1)}
    unequal = {"input_ids": torch.arange(100), "labels": torch.arange(90)}
    image = (torch.zeros(3, 100, 100), 1)
    for item in (short, labelled, unequal, image, {}):
        assert excerpt(item) is item
