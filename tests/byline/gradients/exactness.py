"""Holding a collector against float64 autograd, one example at a time, over many compositions of the batch.

What training could change, and autograd has a gradient for, must be attributed, and nothing else may be. A model
that cannot be attributed is refused with `UnsupportedModel`; whatever else happens is a fault.
"""

import dataclasses
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from byline.api.example import Example
from byline.errors import InvalidTask, UnsupportedModel
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import make_collector
from byline.recipes import recipe
from byline.task import Batch, Checkpoint, Item, LayerSelection, Objective, Task

TOLERANCE = 1e-3
"""Largest error of a block's gradient, in parts of the largest gradient of that block in the batch."""

SMALLEST = 1e-4
"""Blocks whose gradients are smaller than this part of the whole are measured against this part of the whole:
the gradient of a key's bias is zero, and what float32 finds there is rounding."""

ROUNDING = 4.0
"""How much further than one-by-one autograd in the model's own precision a gradient may be from float64."""

Outcome = Literal["exact", "refused", "silent", "crash"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model under test, with its loss and its data."""

    make: Callable[[], nn.Module]
    """Builds it; called several times under one seed, so that every copy has the same weights."""
    loss: Objective
    items: Sequence[Item]
    collate: Callable[[list[Item]], Batch] = default_collate
    layers: LayerSelection = field(default_factory=LayerSelection)
    in_double: Callable[[nn.Module], object] = lambda _: None
    """Prepares the copy of the model that is differentiated in double precision."""
    reference: torch.dtype | None = torch.float64
    """Precision of the autograd that gradients are held against. None takes the model's own, where its code fails in
    double precision."""
    tolerance: float = TOLERANCE
    """Largest error that counts as none."""

    def model(self) -> nn.Module:
        """A copy of the model, in evaluation mode."""
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.make().eval()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the collector made of a subject."""

    outcome: Outcome
    error: float = 0.0
    """The largest, in parts of the largest gradient of the block."""
    words: str = ""
    """Where it differs, or why it was refused."""
    passes: str = ""
    """Whether a pass served a "batch", or one "example"."""
    share: float = 0.0
    """Part of the model's numbers that is attributed."""


class Collects(Protocol):
    """What is held against autograd."""

    @property
    def blocks(self) -> Sequence[Block]:
        """What it attributes."""

    def gradients(self, items: Sequence[Item]) -> BatchGradients:
        """Differentiate the loss for every item."""


def checked_collector(subject: Subject, model: nn.Module) -> Collects:
    """Byline's own, as builds and services use it."""
    task = _task(subject)
    return MemberModel(task, make_collector(task, recipe("grad_dot"), model, Compute()), None, Compute())


def in_float64(subject: Subject) -> Subject:
    """The same model and data in double precision, held to its accuracy. Use with `default_dtype(torch.float64)`."""

    def make() -> nn.Module:
        model = subject.make()
        model._apply(double)
        subject.in_double(model)
        return model

    items = [mapped(item, double) for item in subject.items]
    return dataclasses.replace(subject, make=make, items=items, tolerance=1e-8)


def examine(
    subject: Subject, collector: Callable[[Subject, nn.Module], Collects] = checked_collector
) -> Verdict:
    """Collect over many batches and compare every example's gradient with float64 autograd."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = subject.model()
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        wanted = one_by_one(subject, subject.reference)
        try:
            return _compared(subject, collector(subject, model), wanted, trained)
        except UnsupportedModel as error:
            return Verdict(outcome="refused", words=str(error))
        except InvalidTask as error:  # the Task is to blame where nothing is left to attribute
            return Verdict(outcome="crash" if trained else "refused", words=str(error))
        except Exception as error:  # whatever it is, it is a fault
            return Verdict(outcome="crash", words=f"{type(error).__name__}: {error}"[:400])


def one_by_one(subject: Subject, dtype: torch.dtype | None) -> list[dict[str, Tensor]]:
    """Plain autograd: for each item, the gradient of every parameter that training could change.

    Args:
        subject: The model and its data.
        dtype: `torch.float64`, or None for the model's own precision.

    Returns:
        For each item, parameter name -> gradient in double precision; zeros where autograd has none.
    """
    model = subject.model()
    if dtype is not None:
        model._apply(double)
        subject.in_double(model)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    rows = []
    with default_dtype(dtype or torch.get_default_dtype()):
        for item in subject.items:
            batch = subject.collate([item])
            value = subject.loss(model, batch if dtype is None else mapped(batch, double)).sum()
            rows.append(_gradients(value, parameters))
    return rows


def _gradients(value: Tensor, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    if not value.requires_grad or not parameters:
        return {name: double(torch.zeros_like(p)) for name, p in parameters.items()}
    grads = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    found = {
        n: torch.zeros_like(p) if g is None else g
        for (n, p), g in zip(parameters.items(), grads, strict=True)
    }
    return {name: double(g.to_dense() if g.is_sparse else g).detach() for name, g in found.items()}


def compositions(count: int) -> list[list[int]]:
    """Batches of some of the items: all, shuffled, one, two, three, one of them several times, from the end."""
    order = random.Random(count).sample(range(count), count)
    return [
        list(range(count)),
        order,
        order[:1],
        order[-2:],
        order[:3],
        [order[0]] * 3,
        [order[1], order[1], order[0], order[1]],
        list(range(count))[::-1][:5],
        order + order,
    ]


def _compared(
    subject: Subject, collector: Collects, wanted: list[dict[str, Tensor]], trained: set[str]
) -> Verdict:
    left_out = _left_out(collector, wanted, trained)
    if left_out:
        return Verdict(outcome="silent", error=1.0, words=left_out)
    worst, where, allowed, hardest = 0.0, "", subject.tolerance, list[int]()
    for rows in compositions(len(subject.items)):
        found = collector.gradients([subject.items[r] for r in rows])
        for block in collector.blocks:
            error = _error(block, found.blocks[block.name].dense(), wanted, rows)
            if not error <= worst:
                worst, where, hardest = error, f"{block.name} in a batch of {len(rows)}", rows
    if not worst <= allowed:
        allowed = max(allowed, ROUNDING * _own_rounding(subject, collector, wanted, hardest))
    passes = collector.report.passes if isinstance(collector, MemberModel) else ""
    outcome: Outcome = "exact" if worst <= allowed else "silent"
    return Verdict(outcome=outcome, error=worst, words=where, passes=passes, share=_share(subject, collector))


def _share(subject: Subject, collector: Collects) -> float:
    own = {name: p.numel() for name, p in subject.model().named_parameters()}
    return sum(own[name] for block in collector.blocks for name in block.parameters) / sum(own.values())


def _left_out(collector: Collects, wanted: list[dict[str, Tensor]], trained: set[str]) -> str:
    """What is attributed although it is frozen, or is not although autograd has a gradient for it."""
    attributed = {name for block in collector.blocks for name in block.parameters}
    selected = {name for name in trained if any(bool(row[name].any()) for row in wanted)}
    if attributed - trained:
        return f"frozen, yet attributed: {', '.join(sorted(attributed - trained)[:3])}"
    if selected - attributed:
        return f"left out: {', '.join(sorted(selected - attributed)[:3])}"
    return ""


def _error(block: Block, found_NOI: Tensor, wanted: list[dict[str, Tensor]], rows: list[int]) -> float:
    stacked = {name: torch.stack([wanted[row][name] for row in rows]) for name in block.parameters}
    wanted_NOI = block.matrix(stacked)
    if found_NOI.shape != wanted_NOI.shape or (wanted_NOI.is_complex() and not found_NOI.is_complex()):
        return float("inf")
    largest = max(_norm(row.values()) for row in wanted)
    scale = max(float(wanted_NOI.flatten(1).norm(dim=1).max()), SMALLEST * largest, 1e-12)
    return float((double(found_NOI) - wanted_NOI).flatten(1).norm(dim=1).max()) / scale


def _norm(tensors: Any) -> float:
    return sum(float(t.abs().square().sum()) for t in tensors) ** 0.5


def _own_rounding(
    subject: Subject, collector: Collects, wanted: list[dict[str, Tensor]], rows: list[int]
) -> float:
    """How far one-by-one autograd in the model's own precision is from float64, over a batch of these rows."""
    own = one_by_one(subject, None)
    stacked = {name: torch.stack([own[row][name] for row in rows]) for name in own[0]}
    return max(_error(block, block.matrix(stacked), wanted, rows) for block in collector.blocks)


def _task(subject: Subject) -> Task:
    return Task(
        name="subject",
        model=subject.model,
        checkpoints=[Checkpoint(weights={})],
        train_set=subject.items,
        describe=lambda row: Example(id=str(row)),
        loss=subject.loss,
        collate=subject.collate,
        layers=subject.layers,
    )


def double(tensor: Tensor) -> Tensor:
    """In double precision, if its numbers are real or complex."""
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A batch of any structure with its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(part, change) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: mapped(getattr(value, f.name), change) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """What tensors are made of that a model makes itself."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
