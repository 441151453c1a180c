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
from safetensors.torch import load_file
from torch import Tensor, nn

from byline.adapters import adapter_digest, adapter_folder
from byline.errors import InvalidTask
from byline.neighbours import TASK_PREFIX, own_modules
from byline.store.recordings import recording_digest
from byline.task import Checkpoint, Task


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
    """
    place, separator, function = reference.rpartition(":")
    if not separator or not place or not function.isidentifier():
        raise InvalidTask(
            f"expected a Task as 'file.py:function' or 'package.module:function', got {reference!r}"
        )
    if place.endswith(".py"):
        return _load_file(((base or Path()) / place).resolve(), function, reference)
    module = _import_module(place)
    task = _made(module, function, reference)
    return LoadedTask(task, reference, hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest())


def _load_file(path: Path, function: str, reference: str) -> LoadedTask:
    if not path.is_file():
        raise InvalidTask(f"expected a Python file at {path}, found none")
    with own_modules(path.parent) as modules:
        task = _anchored(_made(_import_file(path), function, reference), path.parent)
    files = {path, *(Path(module.__file__) for module in modules.values() if module.__file__ is not None)}
    return LoadedTask(task, f"{path}:{function}", _digest(files, path.parent), modules)


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


def _digest(files: Iterable[Path], folder: Path) -> str:
    """SHA-256 over files' paths below the folder and their contents, sorted by path."""
    digest = hashlib.sha256()
    for name, path in sorted((os.path.relpath(path, folder), path) for path in files):
        digest.update(f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
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
            return load_file(path)
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
    """
    weights = load_weights(checkpoint)
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


def weights_digest(checkpoint: Checkpoint, adapters: int = 0, *, recorded: bool = False) -> str:
    """SHA-256 over a checkpoint's names, shapes and numbers, whatever file format holds them.

    Args:
        checkpoint: The weights.
        adapters: How many of its LoRA adapters are used; the others may come and go.
        recorded: Whether its recorded run is used.
    """
    digest = hashlib.sha256()
    if recorded:
        digest.update(f"recording:{recording_digest(checkpoint.recording)}:".encode())
    for number in range(adapters):
        digest.update(f"adapter:{adapter_digest(adapter_folder(checkpoint, number))}:".encode())
    return _tensors_digest(load_weights(checkpoint), digest)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors' names, shapes and numbers."""
    return _tensors_digest(tensors, hashlib.sha256())


def _tensors_digest(tensors: Mapping[str, Tensor], digest: "hashlib._Hash") -> str:
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
