"""Reading what a Task names: Python files that declare Tasks, and checkpoints' weights.

A Task's file is code that its user wrote and runs; weights are data and are read as such: safetensors, or
`torch.load` with `weights_only`.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from byline.adapters import adapter_folder, read_adapter
from byline.digests import hold, tensors_digest
from byline.errors import InvalidTask
from byline.neighbours import TASK_PREFIX, own_modules
from byline.optimizer_state import load_optimizer_state
from byline.places import local_path
from byline.store.recordings import recording_digest
from byline.store.tensors import read_tensors
from byline.task import Checkpoint, CheckpointDigests, Task


@dataclass(frozen=True)
class LoadedTask:
    """A Task, where it came from, and what identifies its source."""

    task: Task
    reference: str
    """`/absolute/file.py:function` or `package.module:function`."""
    digest: str
    """SHA-256 over the Task's file and every module of its folder that loading it imported; of the module's
    file alone for `package.module:function`."""
    modules: Mapping[str, ModuleType] = field(default_factory=dict)
    """The modules of its folder, by the names that it imported them under: no longer in `sys.modules`."""


def load_task(reference: str, base: Path | None = None) -> LoadedTask:
    """Import the function that a reference names, and call it.

    Args:
        reference: `file.py:function`, relative to `base`, or `package.module:function`.
        base: The folder that relative files are looked up in; the current one by default.

    Returns:
        The Task with its source's digest.

    Raises:
        InvalidTask: The reference, the file or what the function returns is wrong.
        InvalidInput: It is a URL.
    """
    place, separator, function = reference.rpartition(":")
    if not separator or not place or not function.isidentifier():
        raise InvalidTask(
            f"expected a Task as 'file.py:function' or 'package.module:function', got {reference!r}"
        )
    local_path(place, "the Task")
    if place.endswith(".py"):
        return _load_file(((base or Path()) / place).resolve(), function, reference)
    module = _import_module(place)
    path = Path(str(module.__file__))
    before = _sources({path})
    task = _made(module, function, reference)
    _hold_sources(before, _sources({path}))
    return LoadedTask(task, reference, before[path])


def _load_file(path: Path, function: str, reference: str) -> LoadedTask:
    if not path.is_file():
        raise InvalidTask(f"expected a Python file at {path}, found none")
    before = _sources({path})
    with own_modules(path.parent) as modules:
        module = _import_file(path)
        before |= _sources(_files(modules) - {path})
        task = _anchored(_made(module, function, reference), path.parent)
    after = _sources({path, *_files(modules)})
    _hold_sources(before, after)
    return LoadedTask(task, f"{path}:{function}", _digest(after, path.parent), modules)


def _files(modules: Mapping[str, ModuleType]) -> set[Path]:
    return {Path(module.__file__) for module in modules.values() if module.__file__ is not None}


def _sources(files: Iterable[Path]) -> dict[Path, str]:
    """Each file's SHA-256."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _hold_sources(before: Mapping[Path, str], after: Mapping[Path, str]) -> None:
    """Refuse sources that were written while they ran: which of the two ran is not known.

    Raises:
        InvalidTask: One was.
    """
    for path, digest in after.items():
        if digest != before.get(path, digest):
            raise InvalidTask(f"{path} changed while the Task was loaded from it: run the command again")


def _made(module: ModuleType, function: str, reference: str) -> Task:
    factory = getattr(module, function, None)
    if not callable(factory):
        raise InvalidTask(
            f"expected a function '{function}' in {reference.rpartition(':')[0]}, found none: define it, or "
            f"correct the reference"
        )
    try:
        task = factory()
    except InvalidTask:
        raise
    except Exception as error:
        raise InvalidTask(f"{reference} raised {type(error).__name__}: {error}") from error
    if not isinstance(task, Task):
        raise InvalidTask(f"expected {reference} to return a byline.task.Task, got {type(task).__name__}")
    return task


def _anchored(task: Task, folder: Path) -> Task:
    """Relative checkpoint paths are relative to the Task's file, not to wherever a command was typed."""

    def anchored(checkpoint: Checkpoint) -> Checkpoint:
        weights = checkpoint.weights
        if not isinstance(weights, Mapping):
            weights = folder / weights  # an absolute path stays
        state = checkpoint.optimizer_state
        if state is not None and not isinstance(state, Mapping):
            state = folder / state
        adapters = [folder / path for path in checkpoint.adapters]
        recording = None if checkpoint.recording is None else folder / checkpoint.recording
        return replace(
            checkpoint, weights=weights, optimizer_state=state, adapters=adapters, recording=recording
        )

    return replace(task, checkpoints=[anchored(checkpoint) for checkpoint in task.checkpoints])


def _digest(sources: Mapping[Path, str], folder: Path) -> str:
    """SHA-256 over files' paths below the folder and their contents, sorted by path."""
    digest = hashlib.sha256()
    for name, source in sorted((os.path.relpath(path, folder), own) for path, own in sources.items()):
        digest.update(f"{name}:{source}\n".encode())
    return digest.hexdigest()


def _import_file(path: Path) -> ModuleType:
    name = f"{TASK_PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InvalidTask(f"importing {path} raised {type(error).__name__}: {error}") from error
    return module


def _import_module(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise InvalidTask(f"importing the module '{name}' raised {type(error).__name__}: {error}") from error
    if module.__file__ is None:
        raise InvalidTask(f"expected '{name}' to be a module with a file, got a namespace package")
    return module


def load_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Read a checkpoint's state dict.

    Raises:
        InvalidTask: There is no such file, or it holds something else.
    """
    if isinstance(checkpoint.weights, Mapping):
        return dict(checkpoint.weights)
    path = Path(checkpoint.weights)
    if not path.is_file():
        raise InvalidTask(f"expected a checkpoint at {path}, found no file")
    try:
        if path.suffix == ".safetensors":
            return read_tensors(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, OSError, EOFError) as error:
        raise InvalidTask(f"{path} is no readable checkpoint: {type(error).__name__}") from error
    except Exception as error:  # torch raises pickle.UnpicklingError for anything but weights
        raise InvalidTask(
            f"{path} holds more than weights and is not unpickled: save model.state_dict(), best as safetensors"
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise InvalidTask(
            f"expected {path} to hold a state dict, name -> tensor, got {type(weights).__name__}"
        )
    return dict(weights)


def load_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a model.

    Tied weights may be stored once: a missing name is accepted where the model shares that parameter with
    one that is there.

    Raises:
        InvalidTask: A name is missing or unknown, or a shape differs.
        StaleIndex: The weights are not those that an index is made of.
    """
    weights = _held_weights(checkpoint)
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InvalidTask(
            f"the checkpoint's shapes are not the model's: {str(error).splitlines()[-1].strip()}"
        ) from error
    shared = {n: id(p) for n, p in model.named_parameters(remove_duplicate=False)}
    loaded = {shared[name] for name in weights if name in shared}
    absent = [name for name in missing if shared.get(name) not in loaded]
    if absent or unexpected:
        first = f", the first missing '{absent[0]}'" if absent else f", the first unknown '{unexpected[0]}'"
        raise InvalidTask(
            f"expected a checkpoint with the model's {len(shared)} parameters, got {len(weights)} tensors: "
            f"{len(absent)} missing, {len(unexpected)} unknown{first}"
        )


def _held_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Weights in memory, held to the digest that is expected of these very tensors."""
    weights = load_weights(checkpoint)
    if checkpoint.expected is not None:
        own = isinstance(checkpoint.weights, Mapping)
        place = "that the Task makes (seed what is random in it)" if own else f"at {checkpoint.weights}"
        hold(f"the weights {place}", tensors_digest(weights), checkpoint.expected.weights)
    return weights


def checkpoint_digests(
    checkpoint: Checkpoint, adapters: int = 0, *, recorded: bool = False, moments: bool = False
) -> CheckpointDigests:
    """Read what a checkpoint is made of.

    Args:
        checkpoint: The weights.
        adapters: How many of its LoRA adapters are used; the others may come and go.
        recorded: Whether its recorded run is used.
        moments: Whether its optimizer state is used, where it has one.

    Returns:
        Digests of these parts.

    Raises:
        InvalidTask: One of them cannot be read.
        InvalidRecipe: It has fewer adapters.
    """
    state = load_optimizer_state(checkpoint) if moments else None
    return CheckpointDigests(
        weights=tensors_digest(load_weights(checkpoint)),
        adapters=tuple(read_adapter(adapter_folder(checkpoint, number)).digest for number in range(adapters)),
        recording=recording_digest(checkpoint.recording) if recorded else None,
        optimizer_state=None if state is None else tensors_digest(state),
    )


def weights_digest(digests: CheckpointDigests) -> str:
    """One digest of weights, adapters and recording: the weights' own where they stand alone."""
    if not digests.adapters and digests.recording is None:
        return digests.weights
    parts = (f"recording:{digests.recording}", *(f"adapter:{adapter}" for adapter in digests.adapters))
    return hashlib.sha256(":".join((*parts, digests.weights)).encode()).hexdigest()


def pinned(task: Task, digests: Mapping[int, CheckpointDigests]) -> Task:
    """Have every later loading of some checkpoints held to digests.

    Args:
        task: The Task.
        digests: Of its checkpoints, by their positions.

    Returns:
        The same Task; its checkpoints say what is expected of them.
    """
    checkpoints = [
        replace(checkpoint, expected=digests[place]) if place in digests else checkpoint
        for place, checkpoint in enumerate(task.checkpoints)
    ]
    return replace(task, checkpoints=checkpoints)
