"""What masks drop in a Task's model, seen on a few training points."""

from functools import partial

from torch import nn

from byline.gradients.masks.plan import MaskPlan, plan_masks
from byline.models.device import Compute, to_device
from byline.models.network import probed_items
from byline.task import Task


def plan_of(task: Task, model: nn.Module, compute: Compute) -> MaskPlan:
    """Decide what masks drop in a model, from runs of every objective on the points that gradients are checked on.

    Args:
        task: Declares the objectives.
        model: With its weights, in evaluation mode.
        compute: Where it is.

    Returns:
        The plan, for all masks of the model.
    """
    first, second = probed_items(task, model, compute)
    batches = [
        to_device(task.collate(items), compute.device)
        for items in ([first], [first, first], [first, first, first], [second])
    ]
    objectives = [task.objective(target) for target in ("loss", *task.targets)]
    objectives += [task.outputs.compute] if task.outputs is not None else []
    return plan_masks(model, [[partial(run, model, batch) for batch in batches] for run in objectives])
