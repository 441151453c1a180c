"""The tiny Task with checkpoints that were trained by plain SGD and recorded: what recipe `dvemb` is tested on."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from byline.models.device import Compute
from byline.models.optimizer_state import adam_state
from byline.recipes import Recipe
from byline.recording import RecorderOptions, TrainingRecorder
from byline.task import Task
from tests.indexer import tiny_task

STEPS, NEVER = 9, range(84, 90)
"""Steps of a run, and rows that no batch has."""

SOURCE = """

def recorded() -> Task:
    from dataclasses import replace
    from pathlib import Path

    runs = [Path(f"run-{seed}") for seed in range(CHECKPOINTS)]
    checkpoints = [
        Checkpoint(weights=run / "weights.safetensors", recording=run / "steps", optimizer_state=MOMENTS)
        for run in runs
    ]
    return replace(task(), checkpoints=checkpoints)
"""


def start(seed: int) -> nn.Module:
    """The network before its first step."""
    model = tiny_task.network()
    model.load_state_dict(tiny_task.weights(seed))
    return model.eval()


def steps(model: nn.Module, task: Task, seed: int) -> Iterator[tuple[Tensor, float]]:
    """Train by plain SGD with rates and batch sizes that change; a row may be in a batch twice.

    Yields:
        Rows and learning rate of each step, before it is taken.
    """
    generator = torch.Generator().manual_seed(100 + seed)
    for step in range(STEPS):
        rows = torch.randint(NEVER.start, (10 + step,), generator=generator)
        rate = 0.4 / (1 + 0.2 * step)
        batch = task.collate([task.train_set[row] for row in rows.tolist()])
        model.zero_grad()
        task.loss(model, batch).mean().backward()
        yield rows, rate
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(rate * parameter.grad)


def adamw_steps(
    model: nn.Module, task: Task, seed: int
) -> Iterator[tuple[Tensor, float, torch.optim.Optimizer]]:
    """Train by AdamW with rates and batch sizes that change.

    Yields:
        Rows, learning rate and optimizer of each step, after `backward` and before it is taken.
    """
    generator = torch.Generator().manual_seed(100 + seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.8, 0.9), weight_decay=0.3)
    for step in range(STEPS):
        rows = torch.randint(NEVER.start, (10 + step,), generator=generator)
        rate = 0.05 / (1 + 0.2 * step)
        batch = task.collate([task.train_set[row] for row in rows.tolist()])
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        task.loss(model, batch).mean().backward()
        yield rows, rate, optimizer
        optimizer.step()


def record(
    folder: Path, chosen: Recipe, span_bytes: int = 1 << 11, device: str = "cpu", **constants: object
) -> str:
    """Train and record every checkpoint, and write the Task's file beside them.

    Args:
        folder: Gets the file and the runs.
        chosen: The recipe to record for.
        span_bytes: Small, so that there are several spans.
        device: Where gradients are computed; the model is trained on the CPU.
        constants: The tiny Task's, changed in the file.

    Returns:
        The reference of the recorded Task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task, text = tiny_task.task(), Path(tiny_task.__file__).read_text()
    for name, value in constants.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(line, f"{name} = {value!r}")
    moments = 'run / "adam.safetensors"' if chosen.scale.uses_moments else "None"
    (folder / "recorded_task.py").write_text(text + SOURCE.replace("MOMENTS", moments))
    for seed in range(tiny_task.CHECKPOINTS):
        run, model = folder / f"run-{seed}", start(seed)
        options = RecorderOptions(span_bytes=span_bytes, compute=Compute(device=torch.device(device)))
        with TrainingRecorder(task, chosen, model, run / "steps", options) as recorder:
            if chosen.scale.uses_moments:
                for rows, rate, optimizer in adamw_steps(model, task, seed):
                    recorder.step(rows, rate, optimizer)
                save_file(adam_state(optimizer, model), run / "adam.safetensors")
            else:
                for rows, rate in steps(model, task, seed):
                    recorder.step(rows, rate)
        save_file(model.state_dict(), run / "weights.safetensors")
    return f"{folder / 'recorded_task.py'}:recorded"
