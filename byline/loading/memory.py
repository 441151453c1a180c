"""Identify a Task that was declared in memory, in a notebook or a script, by the code and the values it is made of.

A Task from a file is identified by its source. A Task in memory has none, so its digest covers the functions that an
index depends on: their byte code, the values they close over, and the functions, classes and values of the user's own
modules that they name or read as attributes. Modules of torch enter with every field. Code of installed packages enters
by name, and objects of their classes enter with their state. A value whose state cannot be read is refused. Weights and
training points are not covered here: an index's fingerprint has digests of its own for them.
"""

import functools
import hashlib
import weakref
from collections.abc import Callable, Iterable, Mapping, MappingView, Sequence
from pathlib import Path
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from byline.digests import content_digest
from byline.errors import BylineError, InvalidTask
from byline.loading.code_reads import Attributes, names_read, own_imports
from byline.loading.failures import OUT_OF_MEMORY, error_text
from byline.loading.installed_code import is_foreign, is_installed, is_installed_class, is_installed_function
from byline.loading.object_state import class_parts, is_special, object_fields, object_state
from byline.loading.task_file import LoadedTask
from byline.task import Task

_PLAIN = {str, bytes, bool, int, float, complex, type(None), type(...)}
_TORCH_NAMES = (torch.dtype, torch.layout, torch.memory_format)
_INTERNAL = {*vars(nn.Module()), "_compiled_call_impl"}
"""Fields that torch keeps of every module: its parts, which are fed as such, and its hooks."""
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_BUILTIN = {list, tuple, set, frozenset, dict}


def task_in_memory(task: Task) -> LoadedTask:
    """Identify a Task that was declared in memory.

    Args:
        task: The Task.

    Returns:
        The Task without a reference, and the digest of its declarations: the same in every process that runs the same
        code with the same version of Python.

    Raises:
        InvalidTask: A value that the Task is made of cannot be identified.
    """
    digest = _Declarations()
    try:
        digest.feed("name", task.name)
        digest.feed_architecture(task.model)
        for name in ("loss", "collate", "targets", "layers", "outputs", "representation"):
            digest.feed(name, getattr(task, name))
    except OUT_OF_MEMORY:
        raise
    except Exception as error:
        raise InvalidTask(_unidentified(digest.path, error)) from error
    return LoadedTask(task, None, digest.hex())


def _unidentified(path: Sequence[str], error: Exception) -> str:
    if isinstance(error, RecursionError):
        found = "values nested too deeply"
    else:
        found = str(error) if isinstance(error, BylineError) else f"a value that raised {error_text(error)}"
    place = ".".join([*path[:3], "…", *path[-2:]] if len(path) > 6 else path)
    return (
        f"expected a Task of values that can be identified, got {found}, in Task.{place}: leave it out, or declare the "
        f"Task in a file and pass its reference, `mytask.py:task`"
    )


class _Declarations:
    """Feeds a SHA-256 with functions, classes and values. A value that comes again is named by its number."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is only unique while its object lives
        self._weights = True
        self.path: list[str] = []
        """Names of the values that are being fed, the outermost first; an error leaves it where it arose."""

    def hex(self) -> str:
        return self._sha.hexdigest()

    def feed(self, name: str, value: Any) -> None:
        self.path.append(name)
        self._text(f"{name}=")
        self._value(value)
        self.path.pop()

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
            (MappingView, lambda each: self._each("view", list(each))),
            (property, lambda each: self._each("property", [each.fget, each.fset])),
            (staticmethod | classmethod, lambda each: self._value(each.__func__)),
            (functools.cached_property, lambda each: self._value(each.func)),  # it holds a lock
            (weakref.ReferenceType, lambda each: self._value(each())),
            (ModuleType, self._namespace),
            (type, self._class),
            (nn.Module, self._module),
        )
        feed = next((feed for kind, feed in forms if isinstance(value, kind)), self._object)
        if isinstance(value, list | tuple | set | frozenset | Mapping) and type(value) not in _BUILTIN:
            self._value(type(value))
            self.feed("fields", _beside_members(value))
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
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        names = {name: cell.cell_contents for name, cell in cells.items() if _is_filled(cell)}
        self._value(function.__defaults__)
        self._value(function.__kwdefaults__)
        if is_installed_function(function):
            self._names(names, {name: [()] for name in names})
            return
        self._value(function.__code__)
        self.feed("fields", vars(function))
        public = {name: each for name, each in function.__globals__.items() if not is_special(name)}
        self._names(public | names, names_read(function.__code__))
        for module, reads in own_imports(function):
            self._names({module.__name__: module}, {module.__name__: reads})

    def _names(self, values: Mapping[str, Any], reads: Mapping[str, Sequence[Attributes]]) -> None:
        """Feed the values of names. Of a module of the user's, what is read of it is fed."""
        for name in sorted(reads.keys() & values.keys()):
            value = values[name]
            if _is_own_module(value) and all(each and each[0] in vars(value) for each in reads[name]):
                self._text(f"module:{value.__name__}")
                for first in sorted({each[0] for each in reads[name]}):
                    self._names(vars(value), {first: [each[1:] for each in reads[name] if each[0] == first]})
            else:
                self.feed(name, value)

    def _namespace(self, module: ModuleType) -> None:
        """Feed a module as a whole: installed ones by name, others by their source and the values they hold now."""
        self._text(f"module:{module.__name__}")
        if is_installed(module.__name__):
            return
        file = Path(getattr(module, "__file__", None) or "")
        in_source: tuple[type, ...] = ()
        if file.is_file():
            self._sha.update(hashlib.sha256(file.read_bytes()).digest())
            in_source = (FunctionType, type)
        for name, value in sorted(vars(module).items()):
            if not is_special(name) and not isinstance(value, in_source):
                self.feed(name, value)

    def _code(self, code: CodeType) -> None:
        self._sha.update(code.co_code)
        self._each("names", (*code.co_names, *code.co_varnames, *code.co_freevars))
        self._each("constants", code.co_consts)

    def _class(self, kind: type) -> None:
        self._text(f"class:{_name(kind)}")
        if is_installed_class(kind):
            return
        self._each("bases", kind.__bases__)
        for name, part in class_parts(kind).items():
            self.feed(name, part)

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
        elif isinstance(value, torch.jit.ScriptFunction):
            self._text(str(value.code))  # a property, which its declaration calls a method
        elif isinstance(value, torch.Generator):
            self._tensor(value.get_state())
        elif is_foreign(type(value)) and hasattr(value, "__wrapped__"):
            self.feed("wrapped", value.__wrapped__)
        elif (
            is_foreign(type(value)) and callable(value) and hasattr(value, "__qualname__")
        ):  # a function that is not written in Python
            self._text(_name(value))
            if isinstance(value, BuiltinMethodType | MethodWrapperType):
                self.feed("of", value.__self__)
        else:
            if not is_foreign(type(value)):
                for name, field in sorted(object_fields(value).items()):
                    self.feed(name, field)
            self.feed("state", object_state(value))


def _beside_members(value: Any) -> Any:
    """Read what a list, set or mapping of another class holds beside its members, as a default factory."""
    if not isinstance(value, dict) or not is_foreign(type(value)):
        return object_fields(value) if not is_foreign(type(value)) else None
    state = object_state(value)
    return state[:3] if isinstance(state, list) else state


def _recomputed(module: nn.Module) -> set[str]:
    """Tensors that weight normalization, spectral normalization and pruning compute from parameters in each pass."""
    fields, parameters = vars(module), module._parameters.keys()
    tensors = {name for name, value in fields.items() if isinstance(value, Tensor)}
    return {
        name for name in tensors if {f"{name}_g", f"{name}_v"} <= parameters or f"{name}_orig" in parameters
    }


def _name(named: Any) -> str:
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _is_filled(cell: Any) -> bool:
    try:
        return bool(cell.cell_contents is not cell)
    except ValueError:  # a name that is assigned later
        return False


def _is_own_module(value: Any) -> bool:
    return isinstance(value, ModuleType) and not is_installed(value.__name__)
