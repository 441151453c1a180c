"""Holding a collector against plain autograd, once, before anything is built or served with it.

Hooks see what modules do, not what a model does with its parameters elsewhere. So a few examples are
differentiated both ways; a parameter used outside its module's forward, or examples that influence one
another, are found here and not in somebody's scores.
"""

import glob
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.collector import GradientCollector, Layout, LayoutKind, checked_values
from byline.gradients.hooks import RecordedCall, recording
from byline.gradients.summed import summed_gradient
from byline.task import Batch, LayerSelection, Objective

RELATIVE_TOLERANCE = 2e-3
"""Largest relative difference from autograd, in the norm of a block; float32 sums stay far below it."""

ROUNDING = 1e-6
"""Differences below this are rounding: the gradient of a loss near zero is a difference of numbers near one."""

Sample = Callable[[int], Batch]
"""n -> a collated batch of the first n of three fixed examples, the third equal to the first."""


def build_collector(
    model: nn.Module, objective: Objective, sample: Sample, layers: LayerSelection | None = None
) -> GradientCollector:
    """Make a collector for a model, and check that it is exact.

    Args:
        model: In evaluation mode; it is frozen and belongs to the collector from now on.
        objective: What will be differentiated.
        sample: Batches of 1, 2 and 3 examples.
        layers: Which modules to attribute.

    Returns:
        A collector whose gradients agree with autograd on the sample.

    Raises:
        UnsupportedModel: They do not; the message names the parameter and the likely cause.
    """
    collector = GradientCollector(model, layers)
    collector.set_layouts(_observe_layouts(collector, objective, sample))
    check_objective(collector, objective, sample, "train signal")
    return collector


def last_layer(
    model: nn.Module, objective: Objective, sample: Sample, layers: LayerSelection | None = None
) -> LayerSelection:
    """Select the attributed module that an objective calls last: the head.

    A weight that the head shares with other modules becomes its own, with the same numbers, so that only what the
    head does with it is attributed. The model must belong to nobody else.

    Args:
        model: In evaluation mode.
        objective: What will be differentiated.
        sample: Batches of 1, 2 and 3 examples.
        layers: What to choose from.

    Returns:
        A selection of that module alone.
    """
    collector = GradientCollector(model, layers)
    hooked = {name: m.module for name, m in collector.modules.items()}
    with torch.enable_grad(), recording(hooked, lambda _name, output: output) as record:
        objective(model, sample(1))
    name = record.calls[-1].name
    for own, parameter in hooked[name].named_parameters(recurse=False):
        copy = nn.Parameter(parameter.detach().clone(), requires_grad=False)
        setattr(hooked[name], own, copy)
    return LayerSelection(include=(glob.escape(name),))


def check_objective(collector: GradientCollector, objective: Objective, sample: Sample, words: str) -> None:
    """Hold one objective's gradients against autograd.

    Args:
        collector: Knows the model's layouts.
        objective: The loss, or a negated target.
        sample: Batches of 1, 2 and 3 examples.
        words: What the objective is called in messages.

    Raises:
        UnsupportedModel: They differ.
    """
    _compare(collector, objective, sample, words, alone=False)
    _compare(collector, objective, sample, words, alone=True)


def _observe_layouts(collector: GradientCollector, objective: Objective, sample: Sample) -> dict[str, Layout]:
    """Run batches of 2 and 3, of equal lengths, and see which leading dimensions follow."""
    hooked = {name: m.module for name, m in collector.modules.items()}
    seen: dict[int, list[RecordedCall]] = {}
    for count in (2, 3):
        with torch.enable_grad(), recording(hooked, lambda _name, output: output) as record:
            checked_values(objective(collector.model, sample(count)), count)
        seen[count] = record.calls
    if [call.name for call in seen[2]] != [call.name for call in seen[3]]:
        raise UnsupportedModel(
            "the model calls its layers more or less often as the batch grows, so there is no gradient of one "
            "example in a batch: make it process a batch at once, or exclude these layers from Task.layers"
        )
    layouts: dict[str, Layout] = {}
    for two, three in zip(seen[2], seen[3], strict=True):
        layout = _layout(two, three)
        if layouts.setdefault(two.name, layout) != layout:
            raise UnsupportedModel(
                f"module '{two.name}' is called both with the batch and with something all examples share: "
                f"exclude it from Task.layers"
            )
    return layouts


def _layout(two: RecordedCall, three: RecordedCall) -> Layout:
    leads, others = _leads(two), _leads(three)
    lead, other = (call.output_shape[0] if call.output_shape else 1 for call in (two, three))
    if not _follows(lead, other):
        return Layout("shared", frozenset())
    kind: LayoutKind = "batched" if (lead, other) == (2, 3) else "flattened"
    return Layout(kind, frozenset(place for place in leads if _follows(leads[place], others[place])))


def _leads(call: RecordedCall) -> dict[int | str, int]:
    """Leading dimensions of a call's tensor arguments, by position or name."""
    arguments: dict[int | str, Any] = dict(enumerate(call.args))
    arguments.update(call.kwargs)
    return {p: a.shape[0] if a.dim() else 1 for p, a in arguments.items() if isinstance(a, Tensor)}


def _follows(two: int, three: int) -> bool:
    """Tell whether a leading dimension is N, or N times something."""
    return two * 3 == three * 2


def _compare(
    collector: GradientCollector,
    objective: Objective,
    sample: Sample,
    words: str,
    *,
    alone: bool,
) -> None:
    """Compare with autograd: the sum over a batch, or the first example of a batch with itself alone."""
    count = 1 if alone else 3
    wanted = _autograd(collector, objective, sample(count), count)
    found = collector.collect(objective, sample(3), 3)
    for block in collector.blocks:
        expected_OI = block.matrix({n: wanted[n][None] for n in block.parameters})[0]
        dense_NOI = found.blocks[block.name].dense()
        difference = (dense_NOI[0] if alone else dense_NOI.sum(dim=0)) - expected_OI
        if difference.norm() > RELATIVE_TOLERANCE * expected_OI.norm() + ROUNDING:
            raise UnsupportedModel(
                f"the per-example gradient of the {words} by '{block.name}' differs from autograd by "
                f"{float(difference.norm() / expected_OI.norm().clamp_min(1e-30)):.1e} of its norm: "
                + (
                    "its examples influence one another (batch statistics, a loss that is averaged over the batch)"
                    if alone
                    else "the model uses this parameter outside its module's forward"
                )
                + "; change the model, or exclude the module from Task.layers"
            )


def _autograd(
    collector: GradientCollector, objective: Objective, batch: Batch, count: int
) -> dict[str, Tensor]:
    """Gradients of the summed objective, for every selected parameter; zeros where it takes no part."""
    return summed_gradient(
        collector.model,
        collector.blocks,
        lambda: checked_values(objective(collector.model, batch), count).sum(),
    )
