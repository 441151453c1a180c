"""What a Task refuses at once."""

import pytest
import torch
from torch import nn

from byline.errors import InvalidTask
from byline.examples import Example
from byline.task import Checkpoint, Task


def named(name: str) -> Task:
    return Task(
        name=name,
        model=lambda: nn.Linear(2, 1),
        checkpoints=[Checkpoint(weights=nn.Linear(2, 1).state_dict())],
        train_set=[torch.zeros(2)],
        describe=lambda i: Example(id=str(i)),
        loss=lambda model, batch: model(batch)[:, 0],
    )


@pytest.mark.parametrize("name", ["a", "digits", "code-lm_2.0", "0" * 64])
def test_names(name: str) -> None:
    assert named(name).name == name


@pytest.mark.parametrize("name", ["", "Digits", "-a", ".", "../up", "a b", "a\n", "0" * 65, "ä"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidTask, match=r"Task\.name"):
        named(name)
