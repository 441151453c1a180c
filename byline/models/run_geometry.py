"""The metric and the damping that a training run amounts to.

Gradient descent of T steps of length eta on a quadratic of eigenvalues L reaches (1 - (1 - eta L)^T) of each minimum, about
L / (L + 1 / (eta T)): it leaves eigenvalues below 1 / (eta T) as they are. Adam descends in another metric. Its steps are
eta / sqrt(v) long, entry by entry, with v its second moment without the bias of its first steps, v = exp_avg_sq /
(1 - beta2^T). So L are the eigenvalues of D G D, D = v^-1/4, and a solution is D (D G D + lam)^-1 D q.

A rate that decays linearly halves eta T. Beyond that Adam's damping is measured: it is `ADAM_DAMPING` times as large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.members import Member
from byline.models.optimizer_state import load_moments
from byline.scale.moments import SECOND
from byline.task import Task

BETA2 = 0.999
"""Adam's usual decay of the second moment, which its state does not name."""
EPSILON = 1e-8
"""Adam's usual addition to the root of the second moment."""
ADAM_DAMPING = 6.0
"""Damping of runs with Adam's state, in units of 1 / (eta T): measured, see docs/methods.md."""


@dataclass(frozen=True, kw_only=True)
class RunGeometry:
    """What a declared run says of its curvature."""

    damping: float
    """lam, added to D G D."""
    metric_P: Tensor | None
    """D of every parameter, float64, block after block. None for the identity: gradient descent."""


def run_geometry(task: Task, member: Member, blocks: Sequence[Block], *, scaled: bool) -> RunGeometry | None:
    """Compute the metric and the damping of a member's run.

    Args:
        task: Declares the checkpoints with their steps and learning rates.
        member: One of the ensemble's members.
        blocks: Attributed parameter blocks.
        scaled: Whether rows are of gradients in units of the root of the second moment.

    Returns:
        Both. None where the run is not declared, or where rows are scaled by moments that the run did not have.

    Raises:
        InvalidTask: The moments are declared and do not fit the model.
    """
    checkpoint = task.checkpoints[member.checkpoint]
    if member.adapter is not None or checkpoint.steps is None or checkpoint.learning_rate is None:
        return None  # the checkpoint's run did not train its adapters
    plain = 1 / (checkpoint.learning_rate * checkpoint.steps)
    moments = load_moments(task, member, blocks)
    if moments is None:
        return None if scaled else RunGeometry(damping=plain, metric_P=None)
    second_P = torch.cat([moments[f"{block.name}.{SECOND}"].double().flatten() for block in blocks])
    root_P = (second_P / (1 - BETA2**checkpoint.steps)).sqrt() + EPSILON
    return RunGeometry(damping=ADAM_DAMPING * plain, metric_P=root_P.rsqrt())
