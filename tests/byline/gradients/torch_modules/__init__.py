"""Every module class of `torch.nn` that has parameters, alone and between two linear layers."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.exactness import Subject
from tests.byline.gradients.torch_modules import layers, sequences
from tests.byline.gradients.torch_modules.form import COUNT, Form


def forms() -> dict[str, list[Form]]:
    """Class name -> its forms."""
    return {**layers.forms(), **sequences.forms()}


EXCLUDED = {
    "Module": "the base class",
    "Container": "the base class, by an old name",
    "RNNBase": "a base class without a forward of its own: RNN, LSTM and GRU are tested",
    "RNNCellBase": "a base class without a forward of its own: the three cells are tested",
}


def cases() -> list[ModelCase]:
    """Every form of every class, alone and in a small model."""
    found = []
    for kind, some in forms().items():
        for form in some:
            words = f", {form.words}" if form.words else ""
            shared: Any = {"kind": f"`nn.{kind}`", "expected": form.expected, "reason": form.reason}
            found += [
                ModelCase(**shared, form=f"alone{words}", subject=_alone(form)),
                ModelCase(**shared, form=f"in a small model{words}", subject=_inside(form)),
            ]
    return found


def classes() -> dict[str, type[nn.Module]]:
    """Every module class in the namespace of `torch.nn`."""
    members = inspect.getmembers(nn, inspect.isclass)
    return {name: kind for name, kind in members if issubclass(kind, nn.Module)}


def may_have_parameters(kind: type[nn.Module]) -> bool:
    """Tell whether a class or one that it extends makes parameters or holds modules that others made."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("torch.") and base is not nn.Module]
    sources = [inspect.getsource(base).replace(base.__doc__ or " ", " ") for base in bases]
    words = ("Parameter(", "register_parameter(", "add_module(", "Linear(", "self.module = ")
    return any(word in source for source in sources for word in words)


def _alone(form: Form) -> Callable[[], Subject]:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        output = form.call(model, *batch[:-1])
        flat = torch.tanh(output.reshape(len(batch[-1]), -1))
        weights = torch.linspace(-1, 1.5, flat.shape[1], dtype=flat.dtype)
        return (flat * weights).sum(dim=1) * (1 + batch[-1])

    return lambda: Subject(make=form.make, loss=loss, items=_items(form))


def _inside(form: Form) -> Callable[[], Subject]:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(*batch[:-1]), batch[-1], reduction="none")

    return lambda: Subject(make=lambda: SmallModel(form), loss=loss, items=_items(form))


def _items(form: Form) -> list[tuple[Tensor, ...]]:
    torch.manual_seed(1)
    return [(*form.inputs(), torch.tensor(n % 3)) for n in range(COUNT)]


class SmallModel(nn.Module):
    """A linear layer before the module, where its input is numbers, and one behind it."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        inputs = [part[None] for part in form.inputs()]
        self.call, self.middle = form.call, form.make()
        self.places = [n for n, part in enumerate(inputs) if part.is_floating_point() and part.dim() > 1]
        self.before = nn.ModuleList(
            [nn.Linear(inputs[n].shape[-1], inputs[n].shape[-1]) for n in self.places]
        )
        with torch.no_grad():
            output = form.call(self.middle.eval(), *inputs)
        self.after = nn.Linear(output[0].numel(), 3)

    def forward(self, *inputs: Tensor) -> Tensor:
        given = list(inputs)
        for place, linear in zip(self.places, self.before, strict=True):
            given[place] = linear(given[place])
        output = self.call(self.middle, *given)
        return self.after(output.reshape(len(inputs[0]), -1))
