"""Adam's moments: taken from an optimizer, kept in a file, read again; and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from byline.errors import InvalidTask
from byline.loading.task_file import load_task
from byline.members import Member
from byline.models.optimizer_state import (
    adam_state,
    load_moments,
    load_optimizer_state,
    saved_adam_state,
)
from byline.task import Checkpoint
from tests.byline.features.conftest import TINY
from tests.byline.features.test_queries import blocks_of


def stepped(kind: type[torch.optim.Optimizer]) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1, bias=False))
    optimizer = kind(model.parameters(), lr=0.1)  # type: ignore[call-arg]
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_moments_survive_a_file(tmp_path: Path) -> None:
    model, optimizer = stepped(torch.optim.AdamW)
    taken = adam_state(optimizer, model)
    assert set(taken) == {f"{m}/{n}" for m in ("exp_avg", "exp_avg_sq") for n, _ in model.named_parameters()}
    torch.testing.assert_close(taken["exp_avg/0.weight"], 0.1 * model[0].weight.grad)
    save_file(taken, tmp_path / "adam.safetensors")
    read = load_optimizer_state(
        Checkpoint(weights={}, optimizer_state=tmp_path / "adam.safetensors"), lambda: model
    )
    assert read is not None
    torch.testing.assert_close(dict(read), taken)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    named = load_optimizer_state(
        Checkpoint(weights={}, optimizer_state=tmp_path / "optimizer.pt"), lambda: model
    )
    assert named is not None
    torch.testing.assert_close(dict(named), taken)


def test_moments_of_a_saved_optimizer_are_named(tmp_path: Path) -> None:
    model, optimizer = stepped(torch.optim.AdamW)
    torch.save(optimizer.state_dict(), tmp_path / "one.pt")
    torch.testing.assert_close(saved_adam_state(tmp_path / "one.pt", model), adam_state(optimizer, model))
    wide = [p for p in model.parameters() if p.dim() >= 2]
    groups = [{"params": wide}, {"params": [model[0].bias], "weight_decay": 0.0}]
    two = torch.optim.AdamW(groups, lr=0.1)
    two.step()
    torch.save(two.state_dict(), tmp_path / "two.pt")
    torch.testing.assert_close(saved_adam_state(tmp_path / "two.pt", model), adam_state(two, model))


def test_saved_optimizers_in_another_order_are_refused(tmp_path: Path) -> None:
    model, _ = stepped(torch.optim.SGD)
    other = [{"params": [model[0].bias]}, {"params": [model[1].weight, model[0].weight]}]
    for name, optimizer in {
        "order": torch.optim.AdamW(other),
        "sgd": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "some": torch.optim.AdamW([model[0].weight]),
    }.items():
        optimizer.step()
        torch.save(optimizer.state_dict(), tmp_path / name)
        with pytest.raises(InvalidTask, match="of the model's 3 parameters, in one group or in two"):
            saved_adam_state(tmp_path / name, model)
    (tmp_path / "text").write_text("nothing")
    torch.save({"state": 3}, tmp_path / "half")
    for name in ("text", "half", "absent"):
        with pytest.raises(InvalidTask, match=r"an optimizer's state dict at .*, got a file that is none"):
            saved_adam_state(tmp_path / name, model)


def test_other_optimizers_have_none() -> None:
    model, optimizer = stepped(torch.optim.SGD)
    with pytest.raises(InvalidTask, match="SGD without"):
        adam_state(optimizer, model)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adam.safetensors"
    with pytest.raises(InvalidTask, match="found no file"):
        load_optimizer_state(Checkpoint(weights={}, optimizer_state=path), torch.nn.Module)
    path.write_text("nothing")
    with pytest.raises(InvalidTask, match="readable safetensors"):
        load_optimizer_state(Checkpoint(weights={}, optimizer_state=path), torch.nn.Module)


def test_only_what_is_there_is_given() -> None:
    trained, plain = load_task(f"{TINY}:trained_task").task, load_task(f"{TINY}:task").task
    blocks = blocks_of(trained)
    assert load_moments(plain, Member(0), blocks) is None
    assert load_moments(trained, Member(0, adapter=0), blocks) is None  # an adapter's parameters are others
    found = load_moments(trained, Member(1), blocks)
    assert found is not None
    state = trained.checkpoints[1].optimizer_state
    assert isinstance(state, dict)
    torch.testing.assert_close(found["3.weight.exp_avg"][:, -1], state["exp_avg/3.bias"])
