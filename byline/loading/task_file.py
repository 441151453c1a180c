"""Import the Python file that declares a Task, and digest what it and the modules beside it do.

A Task's file is code that its user wrote and runs.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from byline.errors import BylineError, InvalidTask
from byline.loading.failures import task_code_failures
from byline.loading.sibling_modules import TASK_PREFIX, own_modules
from byline.loading.source_digest import ENTRY, sources_digest
from byline.paths import local_path, relative_to
from byline.task import Checkpoint, Task


@dataclass(frozen=True)
class LoadedTask:
    """A Task, where it came from, and what identifies its source."""

    task: Task
    reference: str | None
    """`/absolute/file.py:function` or `package.module:function`. None for a Task that was declared in memory."""
    digest: str
    """SHA-256 over the code of the Task's file and of every module of its folder that loading it imported, without
    comments, layout and names (`byline.loading.source_digest`); over the module's file alone for
    `package.module:function`; over its declarations for a Task in memory (`byline.loading.memory`)."""
    modules: Mapping[str, ModuleType] = field(default_factory=dict)
    """The modules of its folder, by the names that it imported them under: no longer in `sys.modules`."""


def load_task(reference: str, base: Path | None = None) -> LoadedTask:
    """Import the function that a reference names, and call it.

    Args:
        reference: `file.py:function`, relative to `base`, or `package.module:function`.
        base: The folder that relative files are looked up in. The current one by default.

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
    _check_sources(before, _sources({path}))
    return LoadedTask(task, reference, sources_digest({ENTRY: before[path]}, function))


def _load_file(path: Path, function: str, reference: str) -> LoadedTask:
    if not path.is_file():
        raise InvalidTask(f"expected a Python file at {path}, found none")
    before = _sources({path})
    with own_modules(path.parent) as modules, relative_to(path.parent):
        module = _import_file(path)
        before |= _sources(_files(modules) - {path})
        task = _anchored(_made(module, function, reference), path.parent)
    after = _sources({path, *_files(modules)})
    _check_sources(before, after)
    own = {_full_name(module): after[file] for module, file in _named_files(modules)}
    return LoadedTask(
        task, f"{path}:{function}", sources_digest({**own, ENTRY: after[path]}, function), modules
    )


def _files(modules: Mapping[str, ModuleType]) -> set[Path]:
    return {file for _, file in _named_files(modules)}


def _named_files(modules: Mapping[str, ModuleType]) -> list[tuple[ModuleType, Path]]:
    return [(module, Path(module.__file__)) for module in modules.values() if module.__file__ is not None]


def _full_name(module: ModuleType) -> str:
    """Name a module so that relative imports in it can be resolved."""
    return f"{module.__name__}.__init__" if hasattr(module, "__path__") else module.__name__


def _sources(files: Iterable[Path]) -> dict[Path, bytes]:
    """Each file's content."""
    return {path: path.read_bytes() for path in files}


def _check_sources(before: Mapping[Path, bytes], after: Mapping[Path, bytes]) -> None:
    """Refuse sources that were written while they ran: which of the two ran is not known.

    Raises:
        InvalidTask: One was.
    """
    for path, content in after.items():
        if content != before.get(path, content):
            raise InvalidTask(f"{path} changed while the Task was loaded from it: run the command again")


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
        base = None if checkpoint.base is None else folder / checkpoint.base
        recording = None if checkpoint.recording is None else folder / checkpoint.recording
        return replace(
            checkpoint,
            weights=weights,
            base=base,
            optimizer_state=state,
            adapters=adapters,
            recording=recording,
        )

    return replace(task, checkpoints=[anchored(checkpoint) for checkpoint in task.checkpoints])


class _SourceLoader(SourceFileLoader):
    """Compiles the source each time: kept bytecode is known by second and size, so a quick edit would run the old code."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self.get_data(self.path), self.path, "exec", dont_inherit=True)


def _import_file(path: Path) -> ModuleType:
    name = f"{TASK_PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
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
    """Run the user's code. A training script that ends the program must not end Byline."""
    try:
        with task_code_failures(what, "correct the Task's file"):
            yield
    except SystemExit as error:
        raise InvalidTask(
            f"{what} ended the program: put the statements of a script under `if __name__ == '__main__':`"
        ) from error
