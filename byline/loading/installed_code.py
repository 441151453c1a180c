"""Tell installed code, which a name identifies, from the user's own, which its content identifies."""

import functools
import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, MethodDescriptorType, WrapperDescriptorType

_OWN_NAME = "byline"
"""Byline's own modules count as installed, also in a checkout."""
_HEAP_TYPE = 1 << 9
"""The flag of a class that was made while Python ran, and is not a part of Python."""


def is_installed_class(kind: type) -> bool:
    """Tell whether a class is of Python, of Byline or of an installed package.

    A class that `exec` made without a module's name says that it is of `builtins`.

    Args:
        kind: The class.
    """
    if kind.__module__ == "builtins":
        return not kind.__flags__ & _HEAP_TYPE
    return is_installed(kind.__module__) or is_native(kind)


def is_native(kind: type) -> bool:
    """Tell whether a class is written in another language than Python, so that its objects hide what they hold.

    Args:
        kind: The class.
    """
    return any(
        isinstance(part, MethodDescriptorType | WrapperDescriptorType) and part.__objclass__ is kind
        for part in vars(kind).values()
    )


def is_installed_function(function: FunctionType) -> bool:
    """Tell whether a function's code is installed. Its `__module__` does not say so: decorators copy that.

    Args:
        function: A function that is written in Python.
    """
    module = function.__globals__.get("__name__")
    return isinstance(module, str) and is_installed(module)


def is_foreign(kind: type) -> bool:
    """Tell whether a class is installed and not Byline's: Byline's own options and dataclasses show their fields.

    Args:
        kind: The class.
    """
    return is_installed_class(kind) and kind.__module__.partition(".")[0] != _OWN_NAME


@functools.cache
def is_installed(module: str | None) -> bool:
    """Tell whether a module is of Python, of Byline or of an installed package, and not the user's own code.

    Args:
        module: The module's full name.
    """
    if module is None or module == "__main__":
        return False
    if module.partition(".")[0] in {_OWN_NAME, *sys.stdlib_module_names}:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or _file_of(module.partition(".")[0])
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return file is not None and any(Path(file).is_relative_to(place) for place in places)


def _file_of(package: str) -> str | None:
    """Find the file of a package, also of one that is not imported yet; the parts of some have no file."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return found.origin if found else None
