"""Identify a Task that was declared in memory, in a notebook or a script, by the code and the values it is made of.

A Task from a file is identified by its source. A Task in memory has none, so its digest covers the functions that an
index depends on: their byte code, the values they close over, and the functions, classes and values of the user's own
modules that they name. Code of installed packages enters by name. Weights and training points are not covered here: an
index's fingerprint has digests of its own for them.
"""

import dis
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from byline.digests import content_digest
from byline.loading.task_file import LoadedTask
from byline.task import Task

_PLAIN = (str, bytes, bool, int, float, complex, type(None), type(...))
_OWN_NAME = "byline"
"""Byline's own modules count as installed, also in a checkout."""


def task_in_memory(task: Task) -> LoadedTask:
    """Identify a Task that was declared in memory.

    Args:
        task: The Task.

    Returns:
        The Task without a reference, and the digest of its declarations: the same in every process that runs the same
        code with the same version of Python.
    """
    digest = _Declarations()
    digest.feed("name", task.name)
    digest.feed_architecture(task.model)
    for name in ("loss", "collate", "targets", "layers", "outputs", "representation"):
        digest.feed(name, getattr(task, name))
    return LoadedTask(task, None, digest.hex())


class _Declarations:
    """Feeds a SHA-256 with functions, classes and values. A value that comes again is named by its number."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is only unique while its object lives
        self._weights = True

    def hex(self) -> str:
        return self._sha.hexdigest()

    def feed(self, name: str, value: Any) -> None:
        self._text(f"{name}=")
        self._value(value)

    def feed_architecture(self, factory: Any) -> None:
        """Feed the code that builds the model. Numbers of a module it returns are left out: checkpoints replace them."""
        self._weights = False
        self.feed("model", factory)
        self._weights = True

    def _text(self, text: str) -> None:
        self._sha.update(f"{len(text)}:{text};".encode())

    def _value(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self._text(f"{type(value).__name__}:{value!r}")
        elif isinstance(value, Tensor | np.ndarray | np.generic):
            self._sha.update(content_digest(value))
        elif id(value) in self._numbers:
            self._text(f"again:{self._numbers[id(value)]}")
        else:
            self._numbers[id(value)] = len(self._kept)
            self._kept.append(value)
            self._compound(value)

    def _compound(self, value: Any) -> None:
        forms: tuple[tuple[Any, Callable[[Any], None]], ...] = (
            (list | tuple, lambda each: self._each(type(each).__name__, each)),
            (set | frozenset, lambda each: self._each("set", sorted(each, key=repr))),
            (
                Mapping,
                lambda each: self._each("mapping", [p for k in sorted(each, key=str) for p in (k, each[k])]),
            ),
            (FunctionType, self._function),
            (CodeType, self._code),
            (MethodType, lambda each: self._each("method", [each.__func__, each.__self__])),
            (functools.partial, lambda each: self._each("partial", [each.func, each.args, each.keywords])),
            (ModuleType, lambda each: self._text(f"module:{each.__name__}")),
            (type, self._class),
            (nn.Module, self._module),
        )
        feed = next((feed for kind, feed in forms if isinstance(value, kind)), self._object)
        feed(value)

    def _each(self, kind: str, values: Any) -> None:
        self._text(f"{kind}:{len(values)}")
        for value in values:
            self._value(value)

    def _function(self, function: FunctionType) -> None:
        self._text(f"function:{_name(function)}")
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        self._each("closure", cells)
        self._value(function.__defaults__)
        self._value(function.__kwdefaults__)
        if _is_installed(function.__module__):
            return
        self._value(function.__code__)
        for name in _global_names(function.__code__):
            if name in function.__globals__ and not name.startswith("__"):  # where a file lies says nothing
                self.feed(name, function.__globals__[name])

    def _code(self, code: CodeType) -> None:
        self._sha.update(code.co_code)
        self._each("names", (*code.co_names, *code.co_varnames, *code.co_freevars))
        self._each("constants", code.co_consts)

    def _class(self, kind: type) -> None:
        self._text(f"class:{_name(kind)}")
        if _is_installed(kind.__module__):
            return
        self._each("bases", kind.__bases__)
        for name, part in sorted(vars(kind).items()):
            unwrapped = inspect.unwrap(getattr(part, "__func__", getattr(part, "fget", None) or part))
            if isinstance(unwrapped, FunctionType) or not name.startswith("_"):
                self.feed(name, unwrapped)

    def _module(self, module: nn.Module) -> None:
        for name, part in module.named_modules():
            self.feed(name, type(part))
            self._plain_fields(part)
        for name, tensor in module.state_dict().items():
            self.feed(name, tensor if self._weights else [str(tensor.dtype), *tensor.shape])

    def _plain_fields(self, module: nn.Module) -> None:
        fields = {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN)}
        for name in sorted(fields.keys() - {"training"}):
            self.feed(name, fields[name])

    def _object(self, value: Any) -> None:
        """Any other object: its class, what a wrapper wraps, and the fields of classes of the user's own."""
        self._value(type(value))
        if hasattr(value, "__wrapped__"):
            self.feed("wrapped", value.__wrapped__)
        elif hasattr(value, "__qualname__"):  # a function that is not written in Python
            self._text(_name(value))
        elif hasattr(value, "__dict__") and not _is_foreign(type(value)):
            self._value(vars(value))


def _name(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _is_filled(cell: Any) -> bool:
    try:
        return bool(cell.cell_contents is not cell)
    except ValueError:  # a name that is assigned later
        return False


def _global_names(code: CodeType) -> list[str]:
    """Global names that a function reads, also in functions within it."""
    own = {each.argval for each in dis.get_instructions(code) if each.opname in {"LOAD_GLOBAL", "LOAD_NAME"}}
    inner = (name for part in code.co_consts if isinstance(part, CodeType) for name in _global_names(part))
    return sorted({*own, *inner})


def _is_foreign(kind: type) -> bool:
    """Tell whether fields of such an object are left out. Byline's own options and dataclasses are values."""
    return _is_installed(kind.__module__) and kind.__module__.partition(".")[0] != _OWN_NAME


@functools.cache
def _is_installed(module: str | None) -> bool:
    """Tell whether a module is of Python, of Byline or of an installed package, and not the user's own code."""
    if module is None or module.partition(".")[0] in {_OWN_NAME, *sys.stdlib_module_names}:
        return module != "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return any(Path(file).is_relative_to(place) for place in places)
