"""Describe exceptions of a user's model in one line that names the module."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from torch import nn

from byline.errors import BylineError, UnsupportedModel


class InseparableError(Exception):
    """A batch cannot be cut into its examples. The message says where."""


@contextmanager
def named_fault(model: nn.Module, *, watched: bool = False) -> Iterator[None]:
    """Turn what a model or its loss raises into an error that names the module.

    Args:
        model: The model that has the modules.
        watched: Whether its layers are watched in the block: leaving the module out of them may help then. Without, the
            model's forward, the loss or the data fail by themselves.

    Raises:
        UnsupportedModel: Something else than an error of Byline was raised.
    """
    try:
        yield
    except (BylineError, InseparableError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        helps = watched and _module(model, error.__traceback__) is not None
        way_out = ", while its layers were watched; exclude the module from Task.layers" if helps else ""
        raise UnsupportedModel(f"{describe_fault(model, error)}{way_out}") from error


def describe_fault(model: nn.Module, error: BaseException) -> str:
    """Name the module and its error."""
    return f"{_place(model, error.__traceback__)} raised {type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Take the first line of an error's text, shortened."""
    lines = str(error).strip().splitlines() or ["no message"]
    return lines[0][:200]


def _place(model: nn.Module, traceback: TracebackType | None) -> str:
    found = _module(model, traceback)
    if found is None:
        return "the loss, the target or the model's backward pass"
    return f"module '{found}'" if found else "the model's own forward"


def _module(model: nn.Module, traceback: TracebackType | None) -> str | None:
    """The name of the innermost module of a model whose code an exception passed through."""
    names = {id(module): name for name, module in model.named_modules()}
    found = None
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            found = names[id(owner)]
        traceback = traceback.tb_next
    return found
