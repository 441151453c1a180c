"""Checks see the last targets of long sequences; other items are whole."""

import torch

from byline.models.excerpts import LONGEST, excerpt


def test_sequences_of_one_length_are_cut() -> None:
    item = {"input_ids": torch.arange(100), "labels": torch.arange(100)}
    cut = excerpt(item)
    assert cut["input_ids"].tolist() == list(range(100 - LONGEST, 100))
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


def test_the_last_targets_are_kept() -> None:
    labels = torch.full((200,), -100)
    labels[150:160] = 7
    cut = excerpt({"input_ids": torch.arange(200), "labels": labels})
    assert cut["input_ids"].tolist() == list(range(160 - LONGEST, 160))
    assert int((cut["labels"] == 7).sum()) == 10
    labels[:] = -100
    labels[3] = 7
    assert 7 in excerpt({"input_ids": torch.arange(200), "labels": labels})["labels"]
