"""Checks of a Task's fields that run when it is declared, so that an error names the place of the mistake."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.data import IterableDataset

from byline.errors import InvalidTask


def kind(value: object) -> str:
    """Name a value's type for people: a class differs from its instances."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeio' else 'a'} {name}"


def require(name: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Require that a field is of a type.

    Args:
        name: `Task.layers`.
        value: The field's.
        kinds: Allowed types.
        expected: For people, with the way out.

    Raises:
        InvalidTask: It is of another type.
    """
    if not isinstance(value, kinds):
        raise InvalidTask(f"expected {name} to be {expected}, got {kind(value)}")


def require_function(name: str, value: object, form: str, *, optional: bool = False) -> None:
    """Require that a field is a function.

    Args:
        name: `Task.loss`.
        value: The field's.
        form: Form of a call: `(model, batch) -> values_N`.
        optional: Whether None will do.

    Raises:
        InvalidTask: It is none, or takes other arguments.
    """
    if optional and value is None:
        return
    if not callable(value):
        raise InvalidTask(f"expected {name} to be a function {form}, got {kind(value)}")
    if not _takes(value, form):
        raise InvalidTask(f"expected {name} to be a function {form}, got one that takes other arguments")


def _takes(function: Callable[..., Any], form: str) -> bool:
    """Tell whether a function can be called as its form says. True where Python cannot tell."""
    arguments = [word for word in form[1 : form.index(")")].split(",") if word.strip()]
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def require_factory(name: str, value: object) -> None:
    """Require that a field builds a model, and is not the model itself.

    Raises:
        InvalidTask: It is a model, or no function.
    """
    if isinstance(value, nn.Module):
        raise InvalidTask(
            f"expected {name} to be a function that builds the model, got the model itself (a {type(value).__name__}): "
            f"pass a function, `lambda: {type(value).__name__}(...)`, and the trained weights in Task.checkpoints"
        )
    require_function(name, value, "() -> nn.Module")


def require_list(name: str, value: object, element: type, each: str) -> None:
    """Require that a field is a list of one kind of thing.

    Args:
        name: `Task.checkpoints`.
        value: The field's.
        element: Type of its elements.
        each: For people.

    Raises:
        InvalidTask: It is none, or holds something else.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise InvalidTask(f"expected {name} to be a list of {each}, got {kind(value)}: put it into a list")
    for place, part in enumerate(value):
        if not isinstance(part, element):
            raise InvalidTask(f"expected {name} to be a list of {each}, got {kind(part)} at position {place}")


def require_items(name: str, value: Any) -> None:
    """Require that a field is a data set: sized and indexed by row.

    Raises:
        InvalidTask: It is an iterator, a loader of batches, or something else.
    """
    lacks = [method for method in ("__len__", "__getitem__") if not hasattr(type(value), method)]
    if lacks or isinstance(value, Mapping | str | bytes | IterableDataset | type):
        raise InvalidTask(
            f"expected {name} to be sized and indexed by row, as a list or torch.utils.data.Dataset is, got "
            f"{kind(value)}: pass the data set itself, without a loader, and list what can only be iterated"
        )


def require_weights(name: str, value: object, *, what: str = "model.state_dict()") -> None:
    """Require that a field names a file of tensors or holds them.

    Args:
        name: `Checkpoint.weights`.
        value: The field's.
        what: Expression that makes such a mapping.

    Raises:
        InvalidTask: It is a model, or something else.
    """
    if isinstance(value, Mapping):
        wrong = [v for n, v in value.items() if not isinstance(n, str) or not isinstance(v, Tensor)]
        if wrong:
            raise InvalidTask(
                f"expected {name} to map names to tensors, as {what} does, got {kind(wrong[0])} among its values: pass the "
                f"state dict alone, such as checkpoint['state_dict'], or the file"
            )
    elif isinstance(value, nn.Module):
        raise InvalidTask(f"expected {name} to be a file or a state dict, got a model: pass {what}")
    elif not _is_path(value):
        raise InvalidTask(f"expected {name} to be a path or a mapping of names to tensors, got {kind(value)}")


def require_paths(name: str, value: object) -> None:
    """Require that a field is a list of paths.

    Raises:
        InvalidTask: It is one path, or something else.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not all(map(_is_path, value)):
        raise InvalidTask(
            f"expected {name} to be a list of paths, got {kind(value)}: put a single one into a list"
        )


def require_path(name: str, value: object) -> None:
    """Require that a field is a path, or None.

    Raises:
        InvalidTask: It is something else.
    """
    if value is not None and not _is_path(value):
        raise InvalidTask(f"expected {name} to be a path, got {kind(value)}")


def require_rate(name: str, value: object) -> None:
    """Require that a field is a number above zero, or None.

    Raises:
        InvalidTask: It is something else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and value > 0):  # type: ignore[arg-type, operator]  # a number
        raise InvalidTask(
            f"expected {name} to be a number above zero, got {value if number else kind(value)}"
        )


def require_count(name: str, value: object) -> None:
    """Require that a field is a whole number above zero, or None.

    Raises:
        InvalidTask: It is something else.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and value > 0):  # type: ignore[operator]  # a number
        raise InvalidTask(
            f"expected {name} to be a whole number above zero, got {value if whole else kind(value)}"
        )


def _is_path(value: object) -> bool:
    return isinstance(value, str) or hasattr(value, "__fspath__")
