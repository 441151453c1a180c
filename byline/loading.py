"""Reading what a Task names: Python files that declare Tasks, and checkpoints' weights.

A Task's file is code that its user wrote and runs; weights are data and are read as such (`byline.weight_files`).
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from byline.adapters import adapter_digest, adapter_folder
from byline.errors import BylineError, InvalidTask
from byline.failures import code_of
from byline.neighbours import TASK_PREFIX, own_modules
from byline.store.recordings import recording_digest
from byline.task import Checkpoint, Task
from byline.weight_files import read_weights
from byline.weights import put_weights


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
    with _loading(reference):
        task = factory()
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
        with _loading(f"importing {path}"):
            spec.loader.exec_module(module)
    except BylineError:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    with _loading(f"importing the module '{name}'"):
        module = importlib.import_module(name)
    if module.__file__ is None:
        raise InvalidTask(f"expected '{name}' to be a module with a file, got a namespace package")
    return module


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Run the user's code; a training script that ends the program must not end Byline."""
    try:
        with code_of(what, "correct the Task's file"):
            yield
    except SystemExit as error:
        raise InvalidTask(
            f"{what} ended the program: put what a script does under `if __name__ == '__main__':`"
        ) from error


def load_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Read a checkpoint's state dict, by the names that are stored.

    Raises:
        InvalidTask: There is no such file, or it holds something else.
    """
    if isinstance(checkpoint.weights, Mapping):
        return dict(checkpoint.weights)
    return read_weights(Path(checkpoint.weights))


def load_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a model; see `byline.weights.put_weights` for the names that are understood.

    Raises:
        InvalidTask: There are none, or they are not the model's.
    """
    put_weights(model, load_weights(checkpoint))


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
