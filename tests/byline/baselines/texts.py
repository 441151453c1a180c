"""A Task whose items are texts, as BM25 sees them."""

from collections.abc import Callable
from typing import Any

from torch import nn

from byline.api.example import Example
from byline.task import Checkpoint, Task


def text_task(texts: list[str], *, text: Callable[[Any], Any] | None = str, **fields: Any) -> Task:
    return Task(
        name="texts",
        model=lambda: nn.Linear(1, 1),
        checkpoints=[Checkpoint(weights=nn.Linear(1, 1).state_dict())],
        train_set=texts,
        describe=lambda row: Example(id=str(row)),
        loss=lambda model, batch: model(batch)[:, 0],
        text=text,
        **fields,
    )
