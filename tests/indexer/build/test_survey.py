import math
from dataclasses import replace

import pytest
import torch

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.build.survey import scan_training_set
from tests.indexer.conftest import TaskFile


def test_the_digest_is_of_the_content(tiny: Task) -> None:
    first = scan_training_set(tiny)
    assert first.rows == 90
    assert scan_training_set(replace(tiny)) == first
    swapped = [tiny.train_set[1], tiny.train_set[0], *(tiny.train_set[i] for i in range(2, 90))]
    assert scan_training_set(replace(tiny, train_set=swapped)).digest != first.digest


def test_items_and_metadata_both_count(tiny: Task) -> None:
    changed = [tiny.train_set[i] for i in range(90)]
    changed[5] = (changed[5][0] + torch.eye(6)[0] * 1e-6, changed[5][1])

    def renamed(row: int) -> Example:
        return tiny.describe(row).model_copy(update={"owner": "x"})

    digests = {
        scan_training_set(tiny).digest,
        scan_training_set(replace(tiny, train_set=changed)).digest,
        scan_training_set(
            replace(tiny, describe=lambda i: tiny.describe(i).model_copy(update={"owner": "x"}))
        ).digest,
    }
    assert len(digests) == 3


def test_rows_that_share_an_id_are_named(task_file: TaskFile) -> None:
    path = task_file(REPEATED_ID="twice")
    with pytest.raises(InvalidTask, match="rows 3 and 70 share"):
        scan_training_set(load_task(f"{path}:task").task)


def test_what_describe_and_the_training_set_do_wrong_is_named_by_row(tiny: Task) -> None:
    with pytest.raises(InvalidTask, match=r"describe\(0\) to return .*Example, got dict"):
        scan_training_set(replace(tiny, describe=lambda row: {}))  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidTask, match=r"describe\(0\) raised KeyError"):
        scan_training_set(replace(tiny, describe=lambda row: {"a": tiny.describe(0)}[str(row)]))
    scored = replace(
        tiny, describe=lambda row: Example(id=str(row), attributes={"x": math.inf if row == 7 else 1.5})
    )
    with pytest.raises(InvalidTask, match=r"(?s)describe\(7\) .*finite numbers"):
        scan_training_set(scored)
    items = [tiny.train_set[i] for i in range(90)]
    items[4] = object()
    with pytest.raises(InvalidTask, match=r"row 4 of the training set: .*type object"):
        scan_training_set(replace(tiny, train_set=items))


def test_progress_reaches_the_end(tiny: Task) -> None:
    seen: list[tuple[int, int]] = []
    scan_training_set(tiny, lambda done, rows: seen.append((done, rows)))
    assert seen[-1] == (90, 90)
