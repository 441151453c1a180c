"""A member's weights in a network of its own, and the collector that differentiates it, checked against autograd."""

import torch
from torch import nn

from byline.adapters import ADAPTER_LAYERS, adapter_folder, put_adapter
from byline.compute import CPU, Compute, to_device
from byline.errors import InvalidTask
from byline.gradients.collector import GradientCollector
from byline.gradients.probe import build_collector, check_objective, last_layer
from byline.loading import load_checkpoint
from byline.members import Member
from byline.recipe import Recipe
from byline.task import Batch, Item, LayerSelection, Task


def load_network(task: Task, member: Member, device: torch.device = CPU) -> nn.Module:
    """Load a member's weights into a network of its own; its mask is left out.

    Args:
        task: Declares the model and its checkpoints.
        member: Which checkpoint, which adapter.
        device: Where the network is wanted.

    Returns:
        The network, in evaluation mode.

    Raises:
        InvalidTask: The weights do not fit the model.
    """
    model = task.model()
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected Task.model() to return a torch.nn.Module, got {type(model).__name__}")
    checkpoint = task.checkpoints[member.checkpoint]
    load_checkpoint(model, checkpoint)
    if member.adapter is not None:
        model = put_adapter(model, adapter_folder(checkpoint, member.adapter))
    return model.eval().to(device)


def load_collector(task: Task, recipe: Recipe, member: Member, compute: Compute) -> GradientCollector:
    """Load a member's weights and make a checked collector of its network; see `load_network` and `collector_of`."""
    layers = None if member.adapter is None else ADAPTER_LAYERS
    return collector_of(task, recipe, load_network(task, member, compute.device), compute, layers)


def collector_of(
    task: Task, recipe: Recipe, model: nn.Module, compute: Compute, layers: LayerSelection | None = None
) -> GradientCollector:
    """Make a checked collector of a network with its weights in it.

    Args:
        task: Declares the objectives.
        recipe: Names the signal and the layers.
        model: Of the Task's architecture; it belongs to the collector from now on.
        compute: Where it is put.
        layers: Which modules to attribute; None takes the Task's.

    Returns:
        A collector whose gradients of every objective agree with autograd.

    Raises:
        UnsupportedModel: They do not.
    """
    layers = layers or task.layers
    model.eval().to(compute.device)
    first, second = probed_items(task, model, compute)

    def sample(count: int) -> Batch:
        return to_device(task.collate([first, second, first][:count]), compute.device)

    if recipe.layers == "last":
        layers = last_layer(model, task.objective(recipe.train_signal), sample, layers)
    collector = build_collector(model, task.objective(recipe.train_signal), sample, layers)
    for target in {"loss", *task.targets} - {recipe.train_signal}:
        check_objective(collector, task.objective(target), sample, f"target '{target}'")
    return collector


PROBED_FROM = 16
"""Training points that the two that gradients are checked on are chosen from."""


def probed_items(task: Task, model: nn.Module, compute: Compute) -> tuple[Item, Item]:
    """Choose the two items with the largest losses of a few spread over the training set.

    The gradient of a loss near zero is rounding: nothing could be checked on it.
    """
    size = len(task.train_set)
    rows = sorted({place * size // PROBED_FROM for place in range(PROBED_FROM)})
    items = [task.train_set[row] for row in rows]
    with torch.no_grad():
        losses = [task.loss(model, to_device(task.collate([item]), compute.device)).sum() for item in items]
    order = sorted(range(len(items)), key=lambda place: -float(losses[place].nan_to_num()))
    return items[order[0]], items[order[min(1, len(order) - 1)]]
