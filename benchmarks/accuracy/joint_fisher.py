"""The joint empirical Fisher matrix over all parameters, solved in the space of examples: a reference, and no index.

    score(q, i) = q^T (G^T G / n + damping mean I)^-1 g_i = n (Q G^T) (G G^T + damping tr(G G^T) / n I)^-1

with the rows of G the training points' gradients, divided by the fourth or second root of Adam's second moment where asked.
It needs all gradients at once, n x P numbers.

Letters: R training points, Q queries, P parameters.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.optimizer_state import load_moments
from byline.models.training_points import read_items
from byline.recipes import recipe
from byline.scale.moments import SECOND
from byline.task import Item, Task

BATCH = 32
FLOOR = 0.1
"""Added to the second moments, in units of their mean over all parameters."""


def joint_fisher_scores(task: Task, items: Sequence[Item], power: float, damping: float = 1.0) -> np.ndarray:
    """Score every training point by the joint Fisher matrix of the first checkpoint.

    Args:
        task: The Task.
        items: Queries.
        power: Exponent of Adam's second moment that gradients are divided by. 0 leaves them as they are.
        damping: In units of the mean of the matrix' eigenvalues in the space of examples.

    Returns:
        float64 [Q, R].
    """
    chosen = recipe("grad_dot")
    model = MemberModel.load(task, chosen, Member(0), Compute())
    scale_P = _scale(task, model, power)
    train = read_items(task.train_set, range(len(task.train_set)))
    G_RP, Q_QP = _gradients(model, train, scale_P), _gradients(model, items, scale_P)
    kernel_RR = (G_RP @ G_RP.T).double()
    damped_RR = kernel_RR + damping * kernel_RR.trace() / len(train) * torch.eye(len(train))
    found: Tensor = torch.linalg.solve(damped_RR, (Q_QP @ G_RP.T).double().T).T
    return found.numpy()


def _gradients(model: MemberModel, items: Sequence[Item], scale_P: Tensor) -> Tensor:
    parts = (items[start : start + BATCH] for start in range(0, len(items), BATCH))
    return torch.cat([model.gradients(part, "loss").dense().float() * scale_P for part in parts])


def _scale(task: Task, model: MemberModel, power: float) -> Tensor:
    moments = load_moments(task, Member(0), model.blocks)
    if not power or moments is None:
        return torch.ones(())
    second_P = torch.cat([moments[f"{block.name}.{SECOND}"].flatten() for block in model.blocks])
    return (second_P + FLOOR * second_P.mean()).pow(-power).float()
