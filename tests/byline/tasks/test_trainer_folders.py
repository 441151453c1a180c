"""What Hugging Face's Trainer and Byline leave beside weights is found, and what has another form is not."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from byline.models.optimizer_state import saved_adam_state
from byline.tasks.trainer_folders import MOMENTS, TRAINER_STATE, RunFacts, run_facts


def test_steps_and_the_rate_at_the_checkpoint(tmp_path: Path) -> None:
    history = [
        {"step": 10, "learning_rate": 0.3},
        {"step": 20, "learning_rate": 0.2},
        {"step": 20, "eval_loss": 1.0},
        {"step": 30, "learning_rate": 0.1},
    ]
    (tmp_path / TRAINER_STATE).write_text(json.dumps({"global_step": 25, "log_history": history}))
    assert run_facts(tmp_path) == RunFacts(learning_rate=0.2, steps=25)
    save_file({"exp_avg/w": torch.zeros(1)}, tmp_path / MOMENTS)
    assert run_facts(tmp_path).optimizer_state == tmp_path / MOMENTS


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({"global_step": 0}),
        json.dumps({"global_step": True, "log_history": 3}),
        json.dumps({"global_step": "5"}),
    ],
)
def test_other_files_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / TRAINER_STATE).write_text(text)
    assert run_facts(tmp_path) == RunFacts()
    assert run_facts(tmp_path / "not-there") == RunFacts()


@pytest.mark.parametrize("rate", [0, -1.0, math.nan, "x", None])
def test_a_rate_that_is_none_is_left_out(tmp_path: Path, rate: object) -> None:
    state = {"global_step": 3, "log_history": [{"learning_rate": 0.5, "step": 1}, {"learning_rate": rate}, 7]}
    (tmp_path / TRAINER_STATE).write_text(json.dumps(state))
    assert run_facts(tmp_path) == RunFacts(steps=3)


def test_a_folder_of_the_trainer_becomes_a_checkpoint_of_a_task(
    lm_folder: Path, documents: list, tmp_path: Path
) -> None:
    """The files are those that the Trainer writes, with its two groups of parameters."""
    from transformers import GPT2LMHeadModel

    from byline.tasks import LocalModel, causal_language_model

    model = GPT2LMHeadModel.from_pretrained(lm_folder)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer, folders = torch.optim.AdamW(groups, lr=0.01), []
    for step in (1, 2):
        model(torch.arange(8)[None] % 5, labels=torch.arange(8)[None] % 5).loss.backward()
        optimizer.step()
        folder = tmp_path / f"checkpoint-{step}"
        model.save_pretrained(folder)
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        state = {"global_step": step, "log_history": [{"step": step, "learning_rate": 0.01 / step}]}
        (folder / TRAINER_STATE).write_text(json.dumps(state))
        save_file(saved_adam_state(folder / "optimizer.pt", model), folder / MOMENTS)
        folders.append(folder)
    task = causal_language_model("run", LocalModel(folder=lm_folder, checkpoints=tuple(folders)), documents)
    assert [c.steps for c in task.checkpoints] == [1, 2]
    assert [c.learning_rate for c in task.checkpoints] == [0.01, 0.005]
    assert [c.name for c in task.checkpoints] == ["checkpoint-1", "checkpoint-2"]
    moments = load_file(task.checkpoints[1].optimizer_state)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(moments[f"exp_avg_sq/{name}"], optimizer.state[parameter]["exp_avg_sq"])
