"""Read the state of any object: its fields, and what pickle would write of it."""

import copyreg
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from byline.errors import InvalidTask
from byline.loading.installed_code import is_foreign, is_native


def object_state(value: Any) -> Any:
    """Read the state of an object.

    Args:
        value: Any object.

    Returns:
        A structure of what pickle would write of the object. Fields of objects of the user's own classes are left out,
        since a `__getstate__` may hide some: `object_fields` has all of them.

    Raises:
        InvalidTask: A class that is not written in Python hides the state, as that of a lock or an open file does.
    """
    kind = type(value)
    try:
        reduce = copyreg.dispatch_table.get(kind)
        pickled = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:
        if any(is_native(each) for each in kind.__mro__[:-1]):
            raise InvalidTask(
                f"the state of an object of type {kind.__module__}.{kind.__qualname__}"
            ) from error
        return object_fields(value) if is_foreign(kind) else None
    if isinstance(pickled, str):
        return pickled
    made, arguments, *rest = pickled
    state, members, pairs = (*rest[:3], None, None, None)[:3]
    state = _without_hashes(state) if is_foreign(kind) else None
    return [made, arguments, state, list(members or ()), list(pairs or ())]


def object_fields(value: Any) -> dict[str, Any]:
    """Read the fields of an object: those of its `__dict__`, and its slots.

    Args:
        value: Any object.
    """
    slots = {
        name: getattr(value, name)
        for kind in type(value).__mro__
        for name, part in vars(kind).items()
        if isinstance(part, MemberDescriptorType) and hasattr(value, name) and not is_foreign(kind)
    }
    return {**slots, **getattr(value, "__dict__", {})}


def class_parts(kind: type) -> dict[str, Any]:
    """Read what a class of the user's declares: functions, properties and values, in a fixed order.

    Args:
        kind: The class.
    """
    return {
        name: part
        for name, part in sorted(vars(kind).items())
        if name != "_abc_impl"  # caches of isinstance
        and not isinstance(part, MemberDescriptorType | GetSetDescriptorType)
        and (not is_special(name) or callable(part))
    }


def is_special(name: str) -> bool:
    """Tell whether Python gives a name its meaning, as `__file__`.

    Args:
        name: Name of a global or of an attribute.
    """
    return name.startswith("__") and name.endswith("__")


def _without_hashes(state: Any) -> Any:
    """Leave out hashes that an object keeps, as configurations of transformers do: each process has others."""
    if not isinstance(state, dict):
        return state
    return {k: v for k, v in state.items() if not (str(k).startswith("_") and str(k).endswith("_hash"))}
