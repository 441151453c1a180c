"""Derivatives of each position's loss along directions in the parameters: what a score is taken apart by.

A value is a function F of the losses L[t] of an item's positions: their mean, or a margin of it. Its derivative along v is

    sum_t dF/dL[t] (v . dL[t]/dw)

and all t of one v cost two backward passes (`byline.curvature.products.directional_derivatives`).

Shapes: N examples, T positions, P numbers of all parameters together.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from byline.curvature.products import directional_derivatives
from byline.errors import InvalidTask
from byline.gradients.outer_products.tensors import parameter_tensors
from byline.models.passes import MemberPasses
from byline.task import Batch, Item, Positions, Task


def position_slopes(
    passes: MemberPasses, item: Item, target: str, directions_1P: Iterable[Tensor], *, masked: bool = True
) -> list[Tensor]:
    """Differentiate each position's part of the loss, or of a negated target. See `MemberModel.position_slopes`."""
    positions, batch = require_positions(passes.task), passes.batch([item])
    model, blocks = passes.collector.model, passes.collector.blocks
    names = [name for block in blocks for name in block.parameters]

    def losses() -> Tensor:
        with passes.within() if masked else passes.precision():
            return positions.losses(model, batch)

    def moves() -> Iterator[list[Tensor]]:
        for direction_1P in directions_1P:
            tensors = parameter_tensors(blocks, direction_1P.to(passes.compute.device))
            yield [tensors[name][0] for name in names]

    losses_1T, slopes = directional_derivatives(model, losses, names, moves())
    rates_T = loss_rates(positions, target, losses_1T, batch)[0]
    return [(rates_T * slope_1T[0].double()).cpu() for slope_1T in slopes]


def loss_rates(positions: Positions, target: str, losses_NT: Tensor, batch: Batch) -> Tensor:
    """Compute how fast the loss, or a negated target, moves with each position's loss: dF/dL.

    Args:
        positions: The Task's.
        target: A name in `Positions.values`.
        losses_NT: From `Positions.losses`.
        batch: Their batch.

    Returns:
        float64 [N, T].

    Raises:
        InvalidTask: There is no such name.
    """
    if target not in positions.values:
        known = ", ".join(sorted(positions.values))
        raise InvalidTask(f"expected one of the targets {known} in Positions.values, got another name")
    with torch.enable_grad():
        leaf_NT = losses_NT.detach().double().requires_grad_()
        (rates_NT,) = torch.autograd.grad(positions.values[target](leaf_NT, batch).sum(), leaf_NT)
    return rates_NT if target == "loss" else -rates_NT


def require_positions(task: Task) -> Positions:
    """Take the Task's positions.

    Raises:
        InvalidTask: It declares none.
    """
    if task.positions is None:
        raise InvalidTask(
            "expected Task.positions, which scores are taken apart by, got None: declare the loss of every position "
            "(byline.task.Positions), or leave tokens out"
        )
    return task.positions
