"""Holding a collector against plain autograd, once, before anything is built or served with it.

Hooks see what modules do, not what a model does with its parameters elsewhere. So a few examples are
differentiated both ways; a parameter used outside its module's forward, or examples that influence one
another, are found here and not in somebody's scores.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.collector import GradientCollector, Layout, checked_values
from byline.gradients.hooks import RecordedCall, recording
from byline.task import Batch, LayerSelection, Objective

RELATIVE_TOLERANCE = 2e-3
"""Largest relative difference from autograd, in the norm of a block; float32 sums stay far below it."""

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
    _compare(collector, objective, sample, count=3, first_only=False)
    _compare(collector, objective, sample, count=1, first_only=True)
    return collector


def _observe_layouts(collector: GradientCollector, objective: Objective, sample: Sample) -> dict[str, Layout]:
    """Run batches of 2 and 3, of equal lengths, and see which leading dimensions follow."""
    hooked = {name: m.module for name, m in collector.modules.items()}
    seen: dict[int, list[RecordedCall]] = {}
    for count in (2, 3):
        with torch.enable_grad(), recording(hooked, lambda _name, output: output) as record:
            checked_values(objective(collector.model, sample(count)), count)
        seen[count] = record.calls
    layouts: dict[str, Layout] = {}
    for two, three in zip(seen[2], seen[3], strict=True):
        layout = _layout(two.output_shape, three.output_shape)
        if layouts.setdefault(two.name, layout) != layout:
            raise UnsupportedModel(
                f"module '{two.name}' is called both with the batch and with something all examples share: "
                f"exclude it from Task.layers"
            )
    return layouts


def _layout(two: tuple[int, ...], three: tuple[int, ...]) -> Layout:
    leads = (two[0] if two else 1, three[0] if three else 1)
    if leads == (2, 3):
        return "batched"
    if leads[0] * 3 == leads[1] * 2:
        return "flattened"
    return "shared"


def _compare(
    collector: GradientCollector,
    objective: Objective,
    sample: Sample,
    *,
    count: int,
    first_only: bool,
) -> None:
    """Compare with autograd: the sum over a batch, or the first example of a batch with itself alone."""
    wanted = _autograd(collector, objective, sample(count), count)
    found = collector.collect(objective, sample(3), 3)
    for block in collector.blocks:
        expected_OI = block.matrix({n: wanted[n][None] for n in block.parameters})[0]
        dense_NOI = found.blocks[block.name].dense()
        difference = (dense_NOI[0] if first_only else dense_NOI.sum(dim=0)) - expected_OI
        if difference.norm() > RELATIVE_TOLERANCE * expected_OI.norm() + 1e-6:
            raise UnsupportedModel(
                f"the per-example gradient of '{block.name}' differs from autograd by "
                f"{float(difference.norm() / expected_OI.norm().clamp_min(1e-30)):.1e} of its norm: "
                + (
                    "its examples influence one another (batch statistics, a loss that is averaged over the batch)"
                    if first_only
                    else "the model uses this parameter outside its module's forward"
                )
                + "; change the model, or exclude the module from Task.layers"
            )


def _autograd(
    collector: GradientCollector, objective: Objective, batch: Batch, count: int
) -> dict[str, Tensor]:
    """Gradients of the summed objective, for every selected parameter; zeros where it takes no part."""
    names = [name for block in collector.blocks for name in block.parameters]
    parameters = dict(collector.model.named_parameters())
    chosen = [parameters[name].requires_grad_() for name in names]
    try:
        with torch.enable_grad():
            total = checked_values(objective(collector.model, batch), count).sum()
            grads = torch.autograd.grad(total, chosen, allow_unused=True)
    finally:
        collector.model.requires_grad_(requires_grad=False)
    pairs = zip(names, chosen, grads, strict=True)
    return {name: torch.zeros_like(p) if g is None else g for name, p, g in pairs}
