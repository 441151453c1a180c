"""Identify a Task that was declared in memory, in a notebook or a script, by the code and the values it is made of.

A Task from a file is identified by its source. A Task in memory has none, so its digest covers the functions that an
index depends on: their byte code, the values they close over, and the functions, classes and values of the user's own
modules that they name. Modules of torch enter with every field. Code of installed packages enters by name, and objects of
their classes enter with their state. Weights and training points are not covered here: an index's fingerprint has digests
of its own for them.
"""

import dis
import functools
import hashlib
import inspect
import pickle
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from byline.digests import content_digest
from byline.loading.task_file import LoadedTask
from byline.task import Task

_PLAIN = {str, bytes, bool, int, float, complex, type(None), type(...)}
_TORCH_NAMES = (torch.dtype, torch.layout, torch.memory_format)
_INTERNAL = {*vars(nn.Module()), "_compiled_call_impl"}
"""Fields that torch keeps of every module: its parts, which are fed as such, and its hooks."""
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_UNREADABLE = (TypeError, AttributeError, ValueError, RuntimeError, pickle.PicklingError)
"""Errors of objects that cannot be pickled."""
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
        if type(value) in _PLAIN:
            self._text(f"{type(value).__name__}:{value!r}")
        elif id(value) in self._numbers:
            self._text(f"again:{self._numbers[id(value)]}")
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            self._sha.update(content_digest(value))
        else:
            if not isinstance(value, tuple | frozenset):  # Python may hold equal constants once or twice
                self._number(value)
            self._compound(value)

    def _number(self, value: Any) -> bool:
        """Number a value; False where it has a number, which is fed."""
        if id(value) in self._numbers:
            self._text(f"again:{self._numbers[id(value)]}")
            return False
        self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)
        return True

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.is_meta:
            self._each("meta", (str(tensor.dtype), *tensor.shape))
        else:
            self._text(str(tensor.layout))
            dense = tensor if tensor.layout is torch.strided else tensor.detach().to_dense()
            self._sha.update(content_digest(dense))

    def _compound(self, value: Any) -> None:
        forms: tuple[tuple[Any, Callable[[Any], None]], ...] = (
            (list | tuple, lambda each: self._each(type(each).__name__, each)),
            (set | frozenset, lambda each: self._each("set", self._sorted(each))),
            (
                Mapping,
                lambda each: self._each("mapping", [p for k in self._sorted(each) for p in (k, each[k])]),
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
        if isinstance(value, list | tuple | set | frozenset | Mapping) and not _is_builtin(type(value)):
            self._value(type(value))
        feed(value)

    def _sorted(self, values: Iterable[Any]) -> list[Any]:
        """Sort keys and members of sets by their digests: other orders depend on hashes and addresses."""
        return sorted(values, key=self._alone)

    def _alone(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return f"{type(value).__name__}:{value!r}"
        other = _Declarations()
        other._numbers, other._kept, other._weights = dict(self._numbers), [*self._kept], self._weights
        other._value(value)
        return other.hex()

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
        """Feed a module with its parts. Tensors of a state dict come first: fields may name them again."""
        parts = []
        for name, part in module.named_modules(remove_duplicate=False):
            self._text(name)
            if part is module or self._number(part):
                self._value(type(part))
                self._registered(part)
                parts.append(part)
        weights, self._weights = self._weights, True  # no checkpoint replaces what only a field holds
        for part in parts:
            self._fields(part)
        self._weights = weights

    def _registered(self, module: nn.Module) -> None:
        """Feed the parameters and buffers of one module; those that a checkpoint leaves out with their numbers."""
        left_out = module._non_persistent_buffers_set
        named = [
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        ]
        for name, tensor in named:
            self._text(f"{name}:{tensor.requires_grad}")
            if self._number(tensor) and (self._weights or name in left_out):
                self._tensor(tensor)
            else:
                self._each("shape", (str(tensor.dtype), *tensor.shape))

    def _fields(self, module: nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            self._text(getattr(module, "code", ""))
        elif "_orig_mod" not in module._modules:  # fields of torch.compile's wrapper are the compiler's
            for name in sorted(vars(module).keys() - _INTERNAL - _recomputed(module)):
                self.feed(name, vars(module)[name])
        for name in _HOOKS:
            self.feed(name, list(vars(module).get(name, {}).values()))  # keys count the hooks of the process

    def _object(self, value: Any) -> None:
        """Any other object: its class, and what a wrapper wraps, its name, or its state."""
        self._value(type(value))
        if isinstance(value, _TORCH_NAMES):
            self._text(str(value))
        elif hasattr(value, "__wrapped__"):
            self.feed("wrapped", value.__wrapped__)
        elif hasattr(value, "__qualname__"):  # a function that is not written in Python
            self._text(_name(value))
            if isinstance(value, BuiltinMethodType | MethodWrapperType):
                self.feed("of", value.__self__)
        elif hasattr(value, "__dict__") and not _is_foreign(type(value)):
            self._value(vars(value))
        else:
            self.feed("state", _state(value))


def _state(value: Any) -> Any:
    """Read what pickle would write of an object of an installed class; what it cannot read has its fields alone."""
    try:
        parts = value.__reduce_ex__(4)
    except _UNREADABLE:
        return getattr(value, "__dict__", None)
    if isinstance(parts, str):
        return parts
    made, arguments, *rest = parts
    state, members, pairs = (*rest[:3], None, None, None)[:3]
    return [made, arguments, _without_hashes(state), list(members or ()), list(pairs or ())]


def _without_hashes(state: Any) -> Any:
    """Leave out hashes that an object keeps, as configurations of transformers do: each process has others."""
    if not isinstance(state, dict):
        return state
    return {k: v for k, v in state.items() if not (str(k).startswith("_") and str(k).endswith("_hash"))}


def _recomputed(module: nn.Module) -> set[str]:
    """Tensors that weight normalization, spectral normalization and pruning compute from parameters in each pass."""
    fields, parameters = vars(module), module._parameters.keys()
    tensors = {name for name, value in fields.items() if isinstance(value, Tensor)}
    return {
        name for name in tensors if {f"{name}_g", f"{name}_v"} <= parameters or f"{name}_orig" in parameters
    }


def _name(named: Any) -> str:
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _is_builtin(kind: type) -> bool:
    return kind.__module__ == "builtins"


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
    """Tell whether an object is asked for its state. Byline's own options and dataclasses show their fields."""
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
