"""A callback of Hugging Face's Trainer that leaves what attribution needs of a run.

    Trainer(..., callbacks=[run_callback(checkpoints=(0.1, 0.5))])

saves `checkpoint-N` after a tenth and a half of the steps, each with its learning rate and Adam's moments. And

    run_callback(recording=RecordedRun(task=task, recipe=recipe("dvemb"), folder="run/steps"))

records the run for recipe `dvemb`: which rows each step used, and their gradients. Neither changes the run.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from byline.errors import InvalidInput, InvalidTask
from byline.index.durable import atomic_replacement
from byline.index.tensors import write_tensors
from byline.models.optimizer_state import adam_state
from byline.recipes import Recipe
from byline.recording import RecorderOptions, TrainingRecorder
from byline.task import Task
from byline.tasks.library import transformers
from byline.tasks.trainer_folders import MOMENTS


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What a recording of a run is made with. See `byline.recording.TrainingRecorder`."""

    task: Task
    """The Task that the index will be built of. The Trainer's training set has its rows, in its order."""
    recipe: Recipe
    """The index's: `recipe("dvemb")` for SGD; with a scale for AdamW, which is the Trainer's own."""
    folder: Path | str
    """A new or empty folder. `Checkpoint.recording` names it afterwards."""
    options: RecorderOptions | None = None
    """Device, memory."""
    rows: Sequence[int] | None = None
    """Row of `Task.train_set` for each row of the Trainer's training set. None where they are the same."""


def run_callback(checkpoints: Sequence[int | float] = (), recording: RecordedRun | None = None) -> Any:
    """Make a callback for `Trainer(callbacks=[...])`.

    Args:
        checkpoints: When to save, beside what the Trainer saves by itself: steps as integers, parts of the run as numbers up
            to 1.0.
        recording: Records every step for recipe `dvemb`, and saves a checkpoint after the last one. None records nothing.

    Returns:
        A `transformers.TrainerCallback`. Training with it raises `InvalidInput` where the run cannot be recorded.

    Raises:
        InvalidInput: A checkpoint is no step and no part of a run.
        InvalidTask: The library transformers is not installed.
    """
    for moment in checkpoints:
        _require_moment(moment)
    base: Any = transformers().TrainerCallback
    return type("RunCallback", (_RunEvents, base), {})(tuple(checkpoints), recording)


def _require_moment(moment: object) -> None:
    is_step = isinstance(moment, int) and not isinstance(moment, bool) and moment >= 1
    is_part = isinstance(moment, float) and 0 < moment <= 1
    if not is_step and not is_part:
        raise InvalidInput(
            "expected checkpoints as steps (integers from 1 on) or parts of the run (numbers above 0 and up to 1.0), got "
            "something else"
        )


class _RunEvents:
    """Saves checkpoints with their moments, and records steps."""

    def __init__(self, checkpoints: Sequence[int | float], recording: RecordedRun | None) -> None:
        self._moments, self._recording = checkpoints, recording
        self._steps: set[int] = set()
        self._recorder: _RunRecorder | None = None

    def on_train_begin(self, args: Any, state: Any, *_: Any, **parts: Any) -> None:
        """Choose the steps of the checkpoints, and begin the recording."""
        if self._moments and args.save_total_limit is not None:
            raise InvalidInput(
                f"expected save_total_limit=None with chosen checkpoints, got {args.save_total_limit}, which deletes some"
            )
        self._steps = _chosen_steps(self._moments, state.max_steps, last=self._recording is not None)
        if self._recording is not None:
            _require_recordable(args, state, parts["train_dataloader"])
            self._recorder = _RunRecorder(self._recording, parts)

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        """Note the rows of a part of a step."""
        if self._recorder is not None:
            self._recorder.take_batch()

    def on_pre_optimizer_step(self, *_: Any, **parts: Any) -> None:
        """Record a step, before the optimizer changes the weights."""
        if self._recorder is not None:
            self._recorder.take_batch()
            self._recorder.step(_inner(parts["optimizer"]))

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask for a checkpoint, and for the learning rate in the log before every checkpoint."""
        control.should_save |= state.global_step in self._steps
        control.should_log |= control.should_save
        return control

    def on_save(self, args: Any, state: Any, *_: Any, **parts: Any) -> None:
        """Put Adam's moments beside the weights."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            _write_moments(folder, _inner(parts["optimizer"]), parts["model"])

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Complete the recording."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()


def _chosen_steps(moments: Sequence[int | float], most: int, *, last: bool) -> set[int]:
    """Steps after which a checkpoint is saved.

    Raises:
        InvalidInput: The run has no such step.
    """
    chosen = {moment if isinstance(moment, int) else max(1, round(moment * most)) for moment in moments}
    beyond = sorted(step for step in chosen if step > most)
    if beyond:
        raise InvalidInput(
            f"expected checkpoints within the run's {most} steps, got one after step {beyond[0]}"
        )
    return chosen | {most} if last else chosen


def _require_recordable(args: Any, state: Any, loader: Any) -> None:
    """Refuse a run whose steps cannot be recorded.

    Raises:
        InvalidInput: Names the reason.
    """
    base = getattr(loader, "base_dataloader", loader)
    reasons = {
        f"got {args.world_size} processes": args.world_size > 1,
        f"got {args.n_gpu} devices": args.n_gpu > 1,
        "got fsdp or deepspeed, which split the weights": bool(args.fsdp or args.deepspeed),
        "got fp16, whose steps may be skipped (take bf16)": args.fp16,
        "got auto_find_batch_size, which begins again": args.auto_find_batch_size,
        "got one that is resumed (a recording starts with the run)": state.global_step > 0,
        "got a training set without row numbers (an IterableDataset)": base.batch_sampler is None,
        "got a DataLoader with in_order=False": not getattr(base, "in_order", True),
    }
    for reason, holds in reasons.items():
        if holds:
            raise InvalidInput(f"expected a run from its first step in one process to record, {reason}")


def _inner(optimizer: Any) -> Any:
    """Take the optimizer out of accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)


def _write_moments(folder: Path, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Write Adam's moments. Other optimizers have none."""
    with suppress(InvalidTask):
        tensors = adam_state(optimizer, model)
        with atomic_replacement(folder / MOMENTS) as temporary:
            write_tensors(temporary, tensors)


class _RunRecorder:
    """Records the steps of a Trainer.

    Args:
        run: What to record with.
        parts: The Trainer's model and its loader.

    Raises:
        InvalidInput: The training set has another number of rows than the Task's.
    """

    def __init__(self, run: RecordedRun, parts: dict[str, Any]) -> None:
        loader = parts["train_dataloader"]
        self._rows = _row_numbers(run, len(loader.dataset))
        self._scaled = run.recipe.scale.uses_moments
        recorder = TrainingRecorder(run.task, run.recipe, parts["model"], run.folder, run.options)
        self._recorder = recorder.__enter__()
        self._log = _BatchLog(getattr(loader, "base_dataloader", loader))
        self._pending: list[int] = []

    def take_batch(self) -> None:
        """Note the rows of the batch that was differentiated last."""
        self._pending += [self._rows[place] for place in self._log.take()]

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Record the coming step of all batches since the last. A step of length zero changes no weight."""
        rows, self._pending = self._pending, []
        rate = _step_length(optimizer, scaled=self._scaled)
        if rate > 0:
            self._recorder.step_as_taken(rows, rate, optimizer if self._scaled else None)

    def close(self) -> None:
        """Complete the recording, and leave the loader as it was."""
        self._log.remove()
        self._recorder.__exit__(None, None, None)


def _row_numbers(run: RecordedRun, count: int) -> Sequence[int]:
    rows = range(len(run.task.train_set)) if run.rows is None else run.rows
    if len(rows) != count:
        raise InvalidInput(
            f"expected the Trainer's training set to have {len(rows)} rows, as Task.train_set or RecordedRun.rows has, got "
            f"{count}: pass train_dataset=task.train_set, or say each row's place in RecordedRun.rows"
        )
    return rows


def _step_length(optimizer: torch.optim.Optimizer, *, scaled: bool) -> float:
    """Compute the length of a step: the learning rate, over 1 - momentum for SGD.

    Raises:
        InvalidInput: The optimizer is not the recipe's, or groups have several rates.
    """
    if not scaled and not isinstance(optimizer, torch.optim.SGD):
        raise InvalidInput(
            f"expected optim='sgd' for a recipe without a scale, got {type(optimizer).__name__}: for AdamW take "
            "recipe('dvemb', scale={'kind': 'second_moment', 'power': 0.25})"
        )
    lengths = {float(g["lr"]) / (1 - float(g.get("momentum", 0))) for g in optimizer.param_groups}
    if len(lengths) > 1:
        raise InvalidInput("expected one learning rate for all parameters of a recorded run, got several")
    return lengths.pop()


class _BatchLog:
    """Keeps the rows of the batches that a loader draws until they are used. It stands in for the loader's sampler.

    Args:
        loader: A loader with a batch sampler.
    """

    def __init__(self, loader: Any) -> None:
        self._loader, self._sampler = loader, loader.batch_sampler
        self._drawn: deque[list[int]] = deque()
        vars(loader)["batch_sampler"] = self  # a loader refuses the assignment, and has no other seam

    def __iter__(self) -> Iterator[list[int]]:
        self._drawn.clear()
        for rows in self._sampler:
            self._drawn.append([int(row) for row in rows])
            yield rows

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def take(self) -> list[int]:
        """Take the rows of the next batch that is used. Loaders draw batches ahead, and hand them out in order."""
        return self._drawn.popleft()

    def remove(self) -> None:
        """Give the loader its own sampler back."""
        vars(self._loader)["batch_sampler"] = self._sampler
