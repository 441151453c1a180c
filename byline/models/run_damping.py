"""The damping that a training run amounts to.

Gradient descent of T steps of length eta on a quadratic of eigenvalues L reaches (1 - (1 - eta L)^T) of each minimum, about
L / (L + 1 / (eta T)): it leaves eigenvalues below 1 / (eta T) as they are. Adam's steps are eta / sqrt(v) long, v its second
moment without the bias of its first steps, v = exp_avg_sq / (1 - beta2^T).
"""

from collections.abc import Sequence

from byline.gradients.outer_products.blocks import Block
from byline.members import Member
from byline.models.optimizer_state import load_moments
from byline.scale.moments import SECOND
from byline.task import Task

BETA2 = 0.999
"""Adam's usual decay of the second moment, which its state does not name."""


def run_damping(task: Task, member: Member, blocks: Sequence[Block], *, scaled: bool) -> list[float] | None:
    """Compute the damping that a member's run amounts to, in units of the mean loss' curvature.

    Args:
        task: Declares the checkpoints with their steps and learning rates.
        member: One of the ensemble's members.
        blocks: Attributed parameter blocks.
        scaled: Whether curvature is that of parameters in units of the root of the second moment.

    Returns:
        For each block 1 / (eta T), or with Adam's state and unscaled parameters the block's mean of sqrt(v) / (eta T). None
        where the run is not declared, or where parameters are scaled by moments that the run did not have.

    Raises:
        InvalidTask: The moments are declared and do not fit the model.
    """
    checkpoint = task.checkpoints[member.checkpoint]
    if checkpoint.steps is None or checkpoint.learning_rate is None:
        return None
    plain = 1 / (checkpoint.learning_rate * checkpoint.steps)
    moments = load_moments(task, member, blocks)
    if scaled and moments is None:
        return None
    if scaled or moments is None:
        return [plain] * len(blocks)
    unbiased = plain / (1 - BETA2**checkpoint.steps) ** 0.5
    return [unbiased * float(moments[f"{block.name}.{SECOND}"].double().sqrt().mean()) for block in blocks]
