"""What a Task refuses at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.task import Checkpoint, LayerSelection, Outputs, QueryInterface, Task


def declared(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "name": "t",
        "model": lambda: nn.Linear(2, 1),
        "checkpoints": [Checkpoint(weights=nn.Linear(2, 1).state_dict())],
        "train_set": [torch.zeros(2)],
        "describe": lambda i: Example(id=str(i)),
        "loss": lambda model, batch: model(batch)[:, 0],
    }
    return Task(**(fields | changes))


def named(name: str) -> Task:
    return declared(name=name)


@pytest.mark.parametrize("name", ["a", "digits", "code-lm_2.0", "0" * 64])
def test_names(name: str) -> None:
    assert named(name).name == name


@pytest.mark.parametrize("name", ["", "Digits", "-a", ".", "../up", "a b", "a\n", "0" * 65, "ä"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidTask, match=r"Task\.name"):
        named(name)


class Payload(BaseModel):
    x: int


class Network(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 1)


DATA = TensorDataset(torch.zeros(3, 2))
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a model in place of a function": (
        lambda: declared(model=nn.Linear(2, 1)),
        r"Task\.model to be a function that builds the model, got the model itself \(a Linear\): pass a function",
    ),
    "a class that needs arguments": (
        lambda: declared(model=Network),
        r"Task\.model to be a function \(\) -> nn\.Module, got one that takes other arguments",
    ),
    "a model in place of weights": (
        lambda: Checkpoint(weights=nn.Linear(2, 1)),  # type: ignore[arg-type]
        r"Checkpoint\.weights .* got a model: pass model\.state_dict\(\)",
    ),
    "numbers in place of tensors": (
        lambda: Checkpoint(weights={"weight": 3.0}),  # type: ignore[dict-item]
        r"Checkpoint\.weights to map names to tensors.*got a float",
    ),
    "a number in place of weights": (
        lambda: Checkpoint(weights=3),  # type: ignore[arg-type]
        r"Checkpoint\.weights to be a path or a mapping.*got an int",
    ),
    "an optimizer in place of its state": (
        lambda: Checkpoint(weights="w.pt", optimizer_state=torch.optim.Adam([torch.zeros(1)])),  # type: ignore[arg-type]
        r"Checkpoint\.optimizer_state to be a path or a mapping.*got an Adam",
    ),
    "a learning rate of zero": (
        lambda: Checkpoint(weights="w.pt", learning_rate=0),  # type: ignore[arg-type]
        r"Checkpoint\.learning_rate to be a number above zero, got 0",
    ),
    "half a step": (
        lambda: Checkpoint(weights="w.pt", steps=0.5),  # type: ignore[arg-type]
        r"Checkpoint\.steps to be a whole number above zero, got a float",
    ),
    "no step": (
        lambda: Checkpoint(weights="w.pt", steps=0),  # type: ignore[arg-type]
        r"Checkpoint\.steps to be a whole number above zero, got 0",
    ),
    "one adapter": (
        lambda: Checkpoint(weights="w.pt", adapters="lora"),  # type: ignore[arg-type]
        r"Checkpoint\.adapters to be a list of paths, got a str",
    ),
    "one checkpoint": (
        lambda: declared(checkpoints=Checkpoint(weights="w.pt")),  # type: ignore[arg-type]
        r"Task\.checkpoints to be a list of Checkpoints, got a Checkpoint: put it into a list",
    ),
    "weights in place of checkpoints": (
        lambda: declared(checkpoints=[{}]),
        r"Task\.checkpoints to be a list of Checkpoints, got a dict at position 0",
    ),
    "a loader": (lambda: declared(train_set=DataLoader(DATA)), r"Task\.train_set .* got a DataLoader"),
    "a generator": (lambda: declared(train_set=(i for i in [1])), r"Task\.train_set .* got a generator"),
    "a mapping of items": (lambda: declared(evaluation_set={0: 1}), r"Task\.evaluation_set .* got a dict"),
    "a loss of other arguments": (
        lambda: declared(loss=lambda model: 1),
        r"Task\.loss to be a function \(model, batch\) -> losses_N, got one that takes other arguments",
    ),
    "no function": (lambda: declared(collate=3), r"Task\.collate to be a function .*, got an int"),
    "a description": (lambda: declared(describe={}), r"Task\.describe to be a function .*, got a dict"),
    "targets in a list": (lambda: declared(targets=[len]), r"Task\.targets to be a mapping"),
    "a target of other arguments": (
        lambda: declared(targets={"m": lambda batch: batch}),
        r"Task\.targets\['m'\] to be a function \(model, batch\)",
    ),
    "layers by name": (lambda: declared(layers="mlp"), r"Task\.layers to be a LayerSelection, got a str"),
    "one pattern": (
        lambda: LayerSelection(include="mlp.*"),
        r"LayerSelection\.include to be a list of module names or patterns, got a str",
    ),
    "a payload that is filled in": (
        lambda: QueryInterface(payload=Payload(x=1), parse=lambda p: p),  # type: ignore[arg-type]
        r"QueryInterface\.payload to be a class of pydantic's.*got a Payload",
    ),
    "a class without pydantic": (
        lambda: QueryInterface(payload=dict, parse=lambda p: p),  # type: ignore[arg-type]
        r"QueryInterface\.payload .* got the class dict",
    ),
    "outputs of a kind": (
        lambda: Outputs(
            compute=lambda model, batch: batch,
            loss=lambda outputs, batch: outputs,
            relabel=lambda batch, labels: batch,
            kind="poisson",  # type: ignore[arg-type]
        ),
        r"Outputs\.kind to be 'categorical' or 'gaussian'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_fields_of_another_type_are_refused_where_they_are_declared(what: str) -> None:
    make, message = WRONG[what]
    with pytest.raises(InvalidTask, match=message) as caught:
        make()
    assert str(caught.value).isprintable()


def test_what_is_right_is_taken() -> None:
    declared(train_set=DATA, evaluation_set=[1], collate=torch.stack, loss=nn.Identity())
    Checkpoint(weights="w.pt", adapters=(Path("a"), "b"), learning_rate=1)  # type: ignore[arg-type]
    model = nn.Linear(2, 1)
    Checkpoint(weights=model.state_dict(), optimizer_state={"exp_avg/weight": torch.zeros(1, 2)})
