"""Data that change between two readings are an error, in this process and in those that read the digests' files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byline.errors import InvalidTask
from byline.task import Task
from byline_indexer.build.survey import scan_training_set
from byline_indexer.units.data_digests import DataDigests


def changed(task: Task, row: int) -> Task:
    items = [task.train_set[place] for place in range(len(task.train_set))]
    items[row] = (items[row][0] + 1e-6, items[row][1])
    return replace(task, train_set=items)


@pytest.mark.parametrize("kept", [False, True])
def test_only_the_row_that_changed_is_refused(tiny: Task, tmp_path: Path, kept: bool) -> None:
    digests = DataDigests(scan_training_set(tiny).rows_R)
    if kept:
        digests.keep(tmp_path)
        digests = DataDigests.kept(tmp_path)  # type: ignore[assignment]
    same, other = digests.checked(tiny), digests.checked(changed(tiny, 7))
    assert len(same.train_set) == 90
    assert torch.equal(same.train_set[7][0], tiny.train_set[7][0])
    assert torch.equal(other.train_set[8][0], tiny.train_set[8][0])
    with pytest.raises(InvalidTask, match="row 7 of the training set changed during the build"):
        other.train_set[7]


def test_an_empty_folder_has_no_digests(tmp_path: Path) -> None:
    assert DataDigests.kept(tmp_path) is None
