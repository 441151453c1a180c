"""Holding a collector against plain autograd, before anything is built or served with it.

A few examples are differentiated in a batch and alone. Where one pass for a batch is not exact, examples are taken one
at a time from then on; differences that vanish in a higher precision are rounding.
"""

import copy
import glob
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.assembly import dense
from byline.gradients.collector import GradientCollector, checked_values
from byline.gradients.faults import first_line, named_fault
from byline.gradients.learning import learn_separation
from byline.gradients.together import InseparableError
from byline.gradients.trace import tracing
from byline.task import Batch, LayerSelection, Objective

RELATIVE_TOLERANCE = 2e-3
"""Largest difference from autograd, in the length of a block's gradient; float32 sums stay far below it."""
ROUNDING = 1e-6
"""The same, in the length of the whole gradient: blocks whose gradient nearly vanishes are differences of large numbers."""

Sample = Callable[[int], Batch]
"""n -> a collated batch of the first n of three fixed examples, the third equal to the first."""


def build_collector(
    model: nn.Module, objective: Objective, sample: Sample, layers: LayerSelection | None = None
) -> GradientCollector:
    """Make a collector for a model, and check that it is exact.

    Args:
        model: In evaluation mode; it belongs to the collector from now on.
        objective: What will be differentiated.
        sample: Batches of 1, 2 and 3 examples.
        layers: Which modules to attribute.

    Returns:
        A collector whose gradients agree with autograd on the sample.

    Raises:
        UnsupportedModel: The model cannot be differentiated; the message names the module.
    """
    collector = GradientCollector(model, layers)
    _refuse_failing(collector, objective, sample)
    try:
        collector.separation = learn_separation(collector, objective, sample)
    except InseparableError as reason:
        _give_up_batches(collector, str(reason))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # what autograd says of operations in place
        _give_up_batches(collector, f"the layers cannot be watched ({first_line(error)})")
    check_objective(collector, objective, sample, "train signal")
    reached = collector.reached(objective, sample(1))
    collector.unused = tuple(name for name in collector.parameters if name not in reached)
    return collector


def _refuse_failing(collector: GradientCollector, objective: Objective, sample: Sample) -> None:
    """Run the model by itself: what it raises here is its own, or its data's.

    Raises:
        UnsupportedModel: It raises, or its value depends on no attributed parameter.
    """
    for count in (1, 2):
        with named_fault(collector.model), collector.differentiable():
            values_N = checked_values(objective(collector.model, sample(count)), count)
    if not values_N.requires_grad:
        raise UnsupportedModel(
            "expected a loss or target that depends on the attributed parameters, got one that depends on none: compute "
            "it with the model's forward, outside torch.no_grad()"
        )


def _give_up_batches(collector: GradientCollector, reason: str) -> None:
    collector.separation = None
    collector.notice = (
        f"gradients are taken one example at a time, since {reason}; they are exact, and a pass over the data takes "
        f"longer (about twice on a CPU, many times on a GPU)"
    )


def last_layer(
    model: nn.Module, objective: Objective, sample: Sample, layers: LayerSelection | None = None
) -> LayerSelection:
    """Select the module with attributed parameters that an objective calls last: the head.

    A weight that the head shares with other modules becomes its own, with the same numbers, so that only what the
    head does with it is attributed. The model must belong to nobody else.

    Args:
        model: In evaluation mode.
        objective: What will be differentiated.
        sample: Batches of 1, 2 and 3 examples.
        layers: What to choose from.

    Returns:
        A selection of that module alone.

    Raises:
        UnsupportedModel: No such module is called.
    """
    chosen = layers or LayerSelection()
    collector = GradientCollector(model, chosen)
    owners = {
        name: module
        for name, module in model.named_modules()
        if chosen.selects(name) and any(id(p) in collector.names for p in module.parameters(recurse=False))
    }
    spread = lambda _place, output: output  # noqa: E731
    with named_fault(model), collector.differentiable(), tracing(collector.watched(owners), spread) as trace:
        objective(model, sample(1))
    if not trace.modules:
        raise UnsupportedModel("expected a model that calls a module with attributed parameters, found none")
    head = trace.modules[-1]
    for own, parameter in list(head.module.named_parameters(recurse=False)):
        setattr(
            head.module,
            own,
            nn.Parameter(parameter.detach().clone(), requires_grad=id(parameter) in collector.names),
        )
    return LayerSelection(include=(glob.escape(head.name),))


def check_objective(collector: GradientCollector, objective: Objective, sample: Sample, words: str) -> None:
    """Hold one objective's gradients against autograd, and give up batches where they are not exact.

    Args:
        collector: Knows how the model sees a batch.
        objective: The loss, or a negated target.
        sample: Batches of 1, 2 and 3 examples.
        words: What the objective is called in messages.

    Raises:
        UnsupportedModel: A single example's gradient cannot be taken.
    """
    _refuse_failing(collector, objective, sample)
    try:
        block = _differing_block(collector, objective, sample)
    except InseparableError as reason:
        _give_up_batches(collector, str(reason))
        check_objective(collector, objective, sample, words)
        return
    if block is None or _is_rounding(collector, objective, sample):
        return
    if collector.separation is not None:
        _give_up_batches(
            collector, f"the {words}'s gradient by '{block}' is another one in a batch than alone"
        )
        check_objective(collector, objective, sample, words)
    else:
        collector.independent = False
        collector.notice = (
            f"gradients are taken one example at a time, since the {words}'s gradient by '{block}' depends on the other "
            f"examples of a batch, such as on the length that they are padded to"
        )


def _is_rounding(collector: GradientCollector, objective: Objective, sample: Sample) -> bool:
    """Whether the difference vanishes in a higher precision."""
    for dtype in (torch.float32, torch.float64):
        try:
            precise = _in_precision(collector, sample, dtype)
            if precise is not None and _differing_block(precise[0], objective, precise[1]) is None:
                return True
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: S112  # a model that cannot be copied, cast or run so gives no second opinion
            continue
    return False


def _differing_block(collector: GradientCollector, objective: Objective, sample: Sample) -> str | None:
    """The block whose gradient in a batch differs most from autograd's, if one does.

    Raises:
        InseparableError: The batch cannot be taken together.
    """
    if not collector.independent:
        return None
    alone = autograd(collector, objective, sample(1), 1)
    total = float(torch.stack([g.norm() for g in alone.values()]).norm())
    if collector.separation is None:
        passed = collector.whole(objective, sample(3), 3)
        found, others = passed.differentiate(0, keep=False), []
    else:
        found, passed = collector.together(objective, sample(3), 3), collector.whole(objective, sample(3), 3)
        others = [passed.differentiate(n, keep=n == 1) for n in (1, 2)]
    worst, name = 1.0, ""
    for block in collector.blocks:
        expected_OI = block.matrix({n: alone[n][None] for n in block.parameters})[0]
        found_NOI = found.blocks[block.name].dense()
        expected = [expected_OI, *(other.blocks[block.name].dense()[0] for other in others)]
        for got, want in zip(found_NOI, expected, strict=True):
            allowed = RELATIVE_TOLERANCE * float(want.norm()) + ROUNDING * total + 1e-30
            excess = float((got - want).norm()) / allowed
            if not excess <= worst:
                worst, name = excess, block.name
    return name or None


def autograd(
    collector: GradientCollector, objective: Objective, batch: Batch, count: int
) -> dict[str, Tensor]:
    """Gradients of the summed objective, for every attributed parameter; zeros where it takes no part."""
    with named_fault(collector.model), collector.differentiable():
        total = checked_values(objective(collector.model, batch), count).sum()
        parameters = list(collector.parameters.values())
        if not total.requires_grad:
            return {name: torch.zeros_like(p) for name, p in collector.parameters.items()}
        found = torch.autograd.grad(total, parameters, allow_unused=True)
    return {
        name: torch.zeros_like(p) if grad is None else dense(grad)
        for (name, p), grad in zip(collector.parameters.items(), found, strict=True)
    }


def _in_precision(
    collector: GradientCollector, sample: Sample, dtype: torch.dtype
) -> tuple[GradientCollector, Sample] | None:
    """The same model and examples in a higher precision; None where it is not higher."""
    current = max((p.dtype for p in collector.parameters.values()), key=lambda d: torch.finfo(d).bits)
    if torch.finfo(dtype).bits <= torch.finfo(current).bits:
        return None
    model = copy.deepcopy(collector.model).to(dtype)
    names = set(collector.parameters)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    precise = GradientCollector(model)
    precise.blocks, precise.index = collector.blocks, collector.index
    precise.separation, precise.copies = collector.separation, collector.copies
    return precise, lambda count: _cast(sample(count), dtype)


def _cast(batch: Batch, dtype: torch.dtype) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(dtype) if batch.is_floating_point() else batch
    if isinstance(batch, Mapping):
        return {key: _cast(value, dtype) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts: list[Any] = [_cast(part, dtype) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
