"""What describe said of a row is read back, however it is asked for and wherever it is kept."""

import numpy as np
import pytest

from byline.api.example import Example
from byline_indexer.build import example_spool
from byline_indexer.build.example_spool import ExampleSpool


@pytest.mark.parametrize("in_memory", [1 << 24, 64])
def test_examples_are_read_back_in_any_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(example_spool, "_IN_MEMORY", in_memory)
    examples = [Example(id=f"row-{row}", owner="ö" * row, attributes={"x": 1.5 * row}) for row in range(20)]
    spool = ExampleSpool()
    for row, example in enumerate(examples):
        spool.append(example.model_dump_json())
        assert spool.example(row // 2) == examples[row // 2]
    assert [spool.example(row) for row in reversed(range(20))] == examples[::-1]


def test_thumbnails_are_read_back_beside_the_examples() -> None:
    examples = [
        Example(id=str(row), image=np.full((3, 4), row, dtype=np.uint8) if row % 3 else None)
        for row in range(9)
    ]
    spool = ExampleSpool()
    for example in examples:
        spool.append(example.model_dump_json(), example.image)
    assert [spool.example(row) for row in reversed(range(9))] == examples[::-1]
