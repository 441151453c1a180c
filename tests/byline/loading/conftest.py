"""Fixtures that the test modules of this folder share."""

from pathlib import Path

import pytest

SOURCE = """
import torch
from byline.api.example import Example
from byline.task import Checkpoint, Task
from neighbor import WIDTH

def task():
    model = lambda: torch.nn.Linear(WIDTH, 1)
    return Task(name="t", model=model, checkpoints=[Checkpoint(weights=model().state_dict())],
                train_set=[torch.zeros(WIDTH)], describe=lambda i: Example(id=str(i)),
                loss=lambda m, b: m(b)[:, 0])

def nothing():
    return 3

def broken():
    raise KeyError("x")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mytask.py").write_text(SOURCE)
    (tmp_path / "neighbor.py").write_text("WIDTH = 2\n")
    (tmp_path / "syntax.py").write_text("def task(:\n")
    return tmp_path
