"""The digest of a Task in memory: the same for the same code and values, another for whatever an index depends on."""

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from byline.api.example import Example
from byline.loading.memory import task_in_memory
from byline.loading.task_file import load_task
from byline.task import Checkpoint, LayerSelection, Task

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
TEMPERATURE = 1.0


def helper(values: Tensor) -> Tensor:
    return values / TEMPERATURE


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return helper((model(batch[0])[:, 0] - batch[1]).square())


def tempered(temperature: float) -> Callable[..., Tensor]:
    return lambda model, batch: loss(model, batch) / temperature


def powered(model: nn.Module, batch: list[Tensor], *, power: float) -> Tensor:
    return loss(model, batch) ** power


@dataclass
class Weighted:
    """A loss with a state of its own."""

    weight: float

    def __call__(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        return loss(model, batch) * self.weight

    def of(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        return self(model, batch)


def task(**changes: Any) -> Task:
    made = Task(
        name="small",
        model=lambda: nn.Linear(2, 1),
        checkpoints=[Checkpoint(weights={"weight": torch.zeros(1, 2), "bias": torch.zeros(1)})],
        train_set=[(torch.zeros(2), torch.zeros(()))],
        describe=lambda row: Example(id=str(row)),
        loss=loss,
    )
    return replace(made, **changes)


def digest(**changes: Any) -> str:
    return task_in_memory(task(**changes)).digest


def test_a_task_made_twice_has_one_digest_and_no_reference() -> None:
    assert digest() == digest()
    assert task_in_memory(task()).reference is None
    assert digest(loss=tempered(2.0)) == digest(loss=tempered(2.0))
    assert digest(loss=Weighted(2.0)) == digest(loss=Weighted(2.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"loss": lambda model, batch: loss(model, batch) * 2},
        {"loss": tempered(2.0)},
        {"loss": Weighted(1.0)},
        {"loss": Weighted(1.0).of},
        {"loss": functools.partial(powered, power=2.0)},
        {"model": lambda: nn.Linear(2, 1, bias=False)},
        {"model": lambda: nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1))},
        {"targets": {"margin": lambda model, batch: -loss(model, batch)}},
        {"layers": LayerSelection(exclude=("bias",))},
        {"collate": list},
    ],
)
def test_whatever_an_index_depends_on_changes_the_digest(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tempered(2.0), tempered(3.0)),
        (Weighted(2.0), Weighted(3.0)),
        (Weighted(2.0).of, Weighted(3.0).of),
        (functools.partial(powered, power=2.0), functools.partial(powered, power=3.0)),
    ],
)
def test_values_that_a_loss_holds_are_part_of_it(first: Any, second: Any) -> None:
    assert digest(loss=first) != digest(loss=second)


def test_values_that_a_helper_reads_are_part_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(sys.modules[__name__], "TEMPERATURE", 2.0)
    assert digest() != before


def test_numbers_of_the_model_that_is_built_are_left_to_its_checkpoints() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1))
    before = digest(model=lambda: net)
    with torch.no_grad():
        net[0].weight.zero_()
    assert digest(model=lambda: net) == before
    net[1].p = 0.2
    assert digest(model=lambda: net) != before


def test_numbers_of_a_network_that_a_loss_asks_are_part_of_it() -> None:
    teacher = nn.Linear(2, 1)

    def distilled(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return mse_loss(model(batch[0]), teacher(batch[0]), reduction="none")[:, 0]

    before = digest(loss=distilled)
    with torch.no_grad():
        teacher.weight.add_(1.0)
    assert digest(loss=distilled) != before


def test_values_that_name_themselves_end() -> None:
    cycle: list[Any] = [1.0]
    cycle.append(cycle)
    assert digest(loss=lambda model, batch: loss(model, batch) * cycle[0]) != digest()


def test_another_process_finds_the_same_digest() -> None:
    code = (
        "from byline.loading.memory import task_in_memory\n"
        "from byline.loading.task_file import load_task\n"
        f"print(task_in_memory(load_task('{TINY}:task').task).digest)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_seeded_environment()
    )
    assert found.stdout.strip() == task_in_memory(load_task(f"{TINY}:task").task).digest


def _seeded_environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONHASHSEED": "12345"}
