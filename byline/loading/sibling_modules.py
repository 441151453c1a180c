"""Import modules beside a Task's file as a script imports them, and keep them apart from others.

Two Tasks may each have a `losses.py`. `sys.modules` knows one module of a name, so a Task's own modules are
there while the Task is loaded and at no other time.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from byline.loading.failures import OWN_FOLDERS

TASK_PREFIX = "byline_task_"
"""Begins the names under which Task files themselves are imported: these are unique, and stay."""
# `sys.modules` and `sys.path` belong to the process: Tasks are loaded one after the other. Reentrant, since loading a Task
# may load another.
_LOADING = threading.RLock()
_INSTALLED = {"site-packages", "dist-packages"}


@contextmanager
def own_modules(folder: Path) -> Iterator[dict[str, ModuleType]]:
    """Let a Task import modules of its folder, even if other modules were imported under their names.

    What is loaded already from that folder, or under a name that the folder has, is set aside and put back:
    a Task always gets fresh modules, so that its digest does not depend on what ran before.

    Args:
        folder: The folder of the Task's file, resolved.

    Yields:
        Name -> module of this folder; filled, and taken out of `sys.modules`, when the block ends.
    """
    own: dict[str, ModuleType] = {}
    with _LOADING:
        aside = _take_out(lambda name, module: _lies_in(module, folder) or _hides(name, module, folder))
        before, writes_none = set(sys.modules), sys.dont_write_bytecode
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True  # it is known by second and size: a quick edit would run the old code
        try:
            yield own
        finally:
            sys.dont_write_bytecode = writes_none
            sys.path.remove(str(folder))
            own |= _take_out(lambda name, module: name not in before and _lies_in(module, folder))
            _put_back(aside)


def _take_out(chosen: Callable[[str, ModuleType], bool]) -> dict[str, ModuleType]:
    found = {
        name: module
        for name, module in list(sys.modules.items())
        if not name.startswith(("__", TASK_PREFIX)) and chosen(name, module)
    }
    for name, module in found.items():
        del sys.modules[name]
        package, _, child = name.rpartition(".")
        if vars(sys.modules.get(package, module)).get(child) is module:
            delattr(sys.modules[package], child)
    return found


def _put_back(modules: Mapping[str, ModuleType]) -> None:
    sys.modules.update(modules)
    for name, module in modules.items():
        package, _, child = name.rpartition(".")
        if package in sys.modules:
            setattr(sys.modules[package], child, module)


def _lies_in(module: ModuleType, folder: Path) -> bool:
    return any(place.is_relative_to(folder) and _is_users(place, folder) for place in _places(module))


def _hides(name: str, module: ModuleType, folder: Path) -> bool:
    """Tell whether a module from elsewhere would be taken for one of the folder's."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    there = (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()
    return there and any(_is_users(place, Path(place.anchor)) for place in _places(module))


def _is_users(place: Path, folder: Path) -> bool:
    """Neither installed, be it in an environment inside the folder, nor a part of Byline."""
    return not _INSTALLED & set(place.relative_to(folder).parts) and not any(
        place.is_relative_to(own) for own in OWN_FOLDERS
    )


def _places(module: ModuleType) -> list[Path]:
    """The module's file; for a package without one, its folders.

    Those that Python imports have absolute paths. A relative one, as `torch.ops` has, is a made-up name.
    """
    file = getattr(module, "__file__", None)
    named = [file] if isinstance(file, str) else list(getattr(module, "__path__", ()))
    return [Path(place) for place in named if isinstance(place, str) and Path(place).is_absolute()]
