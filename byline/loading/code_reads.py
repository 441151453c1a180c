"""Find the names that a function's byte code reads, and the attributes that it reads of each."""

import dis
import importlib
import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType

from byline.loading.installed_code import is_installed

Attributes = tuple[str, ...]
"""Attributes that are read one of the other: `("losses", "SCALE")` of `package.losses.SCALE`; none: the whole value."""
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}


def names_read(code: CodeType) -> dict[str, list[Attributes]]:
    """Find the global and enclosing names that a function reads, also in functions within it.

    Args:
        code: The function's code.

    Returns:
        Name -> what is read of it, both in a fixed order.
    """
    found: dict[str, set[Attributes]] = defaultdict(set)
    for part in _with_inner(code):
        steps = _steps(part)
        for place, step in enumerate(steps):
            if step.opname in _LOADS:
                found[step.argval].add(tuple(_attributes(steps[place + 1 :])))
    return {name: sorted(found[name]) for name in sorted(found)}


def own_imports(function: FunctionType) -> list[tuple[ModuleType, list[Attributes]]]:
    """Find the user's own modules that a function imports when it runs.

    Args:
        function: The function.

    Returns:
        Each module, and what is read of it.
    """
    return [
        (module, reads)
        for part in _with_inner(function.__code__)
        for name, reads in _imports(part, function.__globals__)
        if not is_installed(name) and (module := _imported(name)) is not None
    ]


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _with_inner(part)


def _steps(code: CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]


def _attributes(steps: list[dis.Instruction]) -> Iterator[str]:
    for step in steps:
        if step.opname not in _ATTRIBUTES:
            return
        yield step.argval


def _imports(code: CodeType, names: Mapping[str, object]) -> Iterator[tuple[str, list[Attributes]]]:
    steps = _steps(code)
    for place, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level, members = steps[place - 2].argval, steps[place - 1].argval or ("*",)
            relative = "." * (level or 0) + step.argval
            package = names.get("__package__")
            name = importlib.util.resolve_name(relative, package) if isinstance(package, str) else relative
            yield name, [() if member == "*" else (member,) for member in members]


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (ImportError, TypeError):  # the function itself fails there
        return None
