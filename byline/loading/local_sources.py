"""Digest the sources that code comes from where no version names them: modules outside of the installed packages.

The modules beside a Task's file are left out: the Task's own digest covers them (`byline.loading.source_digest`).
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from byline.loading.installed_code import is_installed
from byline.loading.sibling_modules import TASK_PREFIX

_PACKAGE = "__init__.py"
_APPLICATIONS = {"byline_indexer", "byline_service"}
"""Byline's own packages that may wrap a Task's parts, also in a checkout."""


def local_sources(code: Iterable[object]) -> dict[str, str]:
    """Digest the packages and modules that some code is of, and those that they use in turn.

    A package counts with all of its `.py` files, so that what it imports later counts too.

    Args:
        code: Functions, classes, or objects whose methods are called.

    Returns:
        SHA-256 by top-level module. Installed packages, Python and Byline itself are left out.
    """
    files: dict[str, set[Path]] = {}
    seen: set[int] = set()
    waiting = [scope for each in code for scope in _scopes(each)]
    while waiting:
        scope = waiting.pop()
        name = scope.get("__name__")
        if id(scope) in seen or not isinstance(name, str) or _has_version(name):
            continue
        seen.add(id(scope))
        if _is_imported(name, scope):
            files.setdefault(name.partition(".")[0], set()).update(_files(name, scope))
        waiting += [found for value in list(scope.values()) for found in _used(value)]
        waiting += [vars(sys.modules[each]) for each in _imported(scope) if each in sys.modules]
    return {top: _digest(found) for top, found in sorted(files.items()) if found}


def _is_imported(name: str, scope: dict[str, Any]) -> bool:
    """Tell whether a module was imported by its name: neither a program, a Task's file nor a module beside one."""
    known = vars(sys.modules.get(name, ModuleType(name))) is scope
    return known and name != "__main__" and not name.startswith(TASK_PREFIX)


def _has_version(name: str) -> bool:
    """Tell whether a module is installed, so that its package's version names it."""
    return name.partition(".")[0] in _APPLICATIONS or (name != "__main__" and is_installed(name))


def _scopes(code: object) -> Iterator[dict[str, Any]]:
    """Find the global names that code sees.

    Yields:
        Dictionaries of modules.
    """
    if isinstance(code, partial):
        for part in (code.func, *code.args, *code.keywords.values()):
            yield from _scopes(part)
    elif isinstance(code, MethodType):
        yield from (*_scopes(code.__func__), *_scopes(code.__self__))
    elif isinstance(code, FunctionType):
        yield code.__globals__
        cells = (cell.cell_contents for cell in code.__closure__ or () if _is_filled(cell))
        yield from (scope for value in cells for scope in _used(value))
    else:
        kind = code if isinstance(code, type) else type(code)
        for base in kind.__mro__:
            methods = (value for value in vars(base).values() if isinstance(value, FunctionType))
            yield from (method.__globals__ for method in methods)
            yield vars(sys.modules.get(base.__module__, ModuleType("")))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _used(value: object) -> Iterator[dict[str, Any]]:
    """Find the global names of a module, a function or a class that code names.

    Yields:
        Dictionaries of modules.
    """
    if isinstance(value, ModuleType):
        yield vars(value)
    elif isinstance(value, FunctionType):
        yield value.__globals__
    elif isinstance(value, type):
        yield vars(sys.modules.get(value.__module__, ModuleType("")))


def _imported(scope: dict[str, Any]) -> set[str]:
    """Name the modules that a module's source imports, also those of which it takes a number alone."""
    file = scope.get("__file__")
    try:
        tree = ast.parse(Path(file).read_bytes()) if isinstance(file, str) else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return set()
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def _files(name: str, scope: dict[str, Any]) -> Iterator[Path]:
    """Find a module's file, or all files of the package that it is in.

    Yields:
        Paths.
    """
    top = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    if isinstance(top, str) and Path(top).name == _PACKAGE:
        yield from Path(top).parent.rglob("*.py")
    elif isinstance(file := scope.get("__file__"), str):
        yield Path(file)


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.is_file():
            content = file.read_bytes()
            digest.update(f"{file.name}:{len(content)}:".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()
