"""A member's weights in a network of its own, and the collector that differentiates it, checked against autograd."""

import math
from functools import partial
from itertools import chain
from typing import Protocol

import torch
from torch import nn

from byline.digests import require_digest
from byline.errors import InvalidTask, UnsupportedModel
from byline.gradients.batch_axes import Sample
from byline.gradients.capture.faults import named_fault
from byline.gradients.check_record import CheckRecord
from byline.gradients.checks import build_collector, check_batches, check_objective, last_layer
from byline.gradients.collector import GradientCollector, require_values
from byline.gradients.masks.plan import MaskPlan, plan_masks
from byline.gradients.quantization import let_gradients_pass
from byline.members import Member
from byline.models.adapters import ADAPTER_LAYERS, adapter_folder, put_adapter, read_adapter
from byline.models.checkpoints import load_checkpoint
from byline.models.device import CPU, Compute, to_device
from byline.models.excerpts import LONGEST, excerpt
from byline.models.item_passes import item_shape
from byline.models.training_points import collate_items, faulty_item_named, read_items
from byline.progress import count_items, count_steps, several_steps
from byline.recipes import Recipe
from byline.task import Item, LayerSelection, Task


class Checks(Protocol):
    """Remembers checks of models against autograd (`byline.index.checks`)."""

    def find(self, model: nn.Module, member: str, compute: str) -> CheckRecord | None:
        """Find what a check of the same model said."""

    def keep(self, model: nn.Module, member: str, compute: str, record: CheckRecord) -> None:
        """Remember what a check said."""


def load_network(task: Task, member: Member, device: torch.device = CPU) -> nn.Module:
    """Load a member's weights into a network of its own. Its mask is left out.

    Args:
        task: Declares the model and its checkpoints.
        member: Which checkpoint, which adapter.
        device: Device of the network.

    Returns:
        The network, in evaluation mode.

    Raises:
        InvalidTask: The weights do not fit the model.
        StaleIndex: The weights or the adapter are not those that an index is made of.
    """
    model = task.model()
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected Task.model() to return a torch.nn.Module, got {type(model).__name__}")
    require_eager(model)
    checkpoint = task.checkpoints[member.checkpoint]
    load_checkpoint(model, checkpoint)
    if member.adapter is not None:
        adapter = read_adapter(adapter_folder(checkpoint, member.adapter))
        if checkpoint.expected is not None and checkpoint.expected.adapters:
            require_digest(
                f"the adapter at {adapter.folder}",
                adapter.digest,
                checkpoint.expected.adapters[member.adapter],
            )
        model = put_adapter(model, adapter)
    return let_gradients_pass(model.eval()).to(device)


def require_eager(model: nn.Module) -> None:
    """Refuse a model whose code is not Python's any more.

    Raises:
        UnsupportedModel: It was compiled by `torch.jit`.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModel(
            "expected a model of Python's modules, got one of torch.jit, whose layers cannot be watched: build the original "
            "model, and load the state dict of the compiled one into it"
        )


def load_collector(
    task: Task, recipe: Recipe, member: Member, compute: Compute, checks: Checks | None = None
) -> GradientCollector:
    """Load a member's weights and make a collector of its network, checked now or before.

    Args:
        task: Declares the model and its checkpoints.
        recipe: Names the signal and the layers.
        member: Which checkpoint, which adapter.
        compute: Device and precision.
        checks: Results of earlier checks. None checks now.

    Returns:
        The collector. See `load_network` and `make_collector`.
    """
    with count_steps(None, LOAD_PARTS) as advance:
        model = load_network(task, member, compute.device)
        advance(1)
        with several_steps(LOAD_PARTS - 1):
            return _checked_collector(task, recipe, model, member, compute, checks)


LOAD_PARTS = 12
"""Parts of a load and a check of about one length: the load is one of them."""


def _checked_collector(
    task: Task, recipe: Recipe, model: nn.Module, member: Member, compute: Compute, checks: Checks | None
) -> GradientCollector:
    layers = None if member.adapter is None else ADAPTER_LAYERS
    if checks is None or recipe.layers == "last":  # what it is asked last is learned in the check
        return make_collector(task, recipe, model, compute, layers)
    known = checks.find(model, *_check_key(member, compute))
    if known is not None:
        collector = GradientCollector(let_gradients_pass(model.eval()), layers or task.layers)
        if known.fits(collector):
            known.restore(collector)
            return collector
    collector = make_collector(task, recipe, model, compute, layers)
    remember_check(checks, collector, member, compute)
    return collector


def remember_check(checks: Checks, collector: GradientCollector, member: Member, compute: Compute) -> None:
    """Keep the result of a check.

    Args:
        checks: Where it is kept.
        collector: Of the member, checked.
        member: Which checkpoint, which adapter.
        compute: Device and precision.
    """
    checks.keep(collector.model, *_check_key(member, compute), CheckRecord.of(collector))


def _check_key(member: Member, compute: Compute) -> tuple[str, str]:
    return member.whole.name, f"{compute.device.type} {compute.precision}"


def make_collector(
    task: Task, recipe: Recipe, model: nn.Module, compute: Compute, layers: LayerSelection | None = None
) -> GradientCollector:
    """Make a checked collector of a network with its weights in it.

    Args:
        task: Declares the objectives.
        recipe: Names the signal and the layers.
        model: A network of the Task's architecture. It belongs to the collector from now on.
        compute: Device and precision.
        layers: Which modules to attribute. None takes the Task's.

    Returns:
        A collector whose gradients of every objective agree with autograd.

    Raises:
        UnsupportedModel: The model cannot be differentiated.
    """
    layers = layers or task.layers
    let_gradients_pass(model.eval()).to(compute.device)
    signal, others = (
        task.objective(recipe.train_signal),
        sorted({"loss", *task.targets} - {recipe.train_signal}),
    )
    with count_steps(None, CHECK_PARTS + len(others)) as advance:
        first, second = probed_items(task, model, compute)
        advance(1)
        sample, reverse = samples(task, compute, first, second), samples(task, compute, second, first)
        if recipe.layers == "last":
            layers = last_layer(model, signal, sample, layers)
        collector = build_collector(model, signal, sample, layers)
        advance(2)
        check_batches(collector, signal, reverse, "train signal")
        for target in others:
            advance(1)
            check_objective(collector, task.objective(target), sample, f"target '{target}'")
        advance(1)
        collector.unused = never_reached(task, collector, compute)
    return collector


CHECK_PARTS = 5
"""Parts of a check of about one length: the choice of items, two of the collector, batches, and unused parameters."""


def samples(task: Task, compute: Compute, first: Item, second: Item) -> Sample:
    """Make batches of 1, 2 and 3 examples, of which the third equals the first."""
    return lambda count: collate_items(task, [first, second, first][:count], compute.device)


def never_reached(task: Task, collector: GradientCollector, compute: Compute) -> tuple[str, ...]:
    """Attributed parameters that no objective of a few training points leads to."""
    waiting = set(collector.unused)
    for row in probed_rows(task):
        if not waiting:
            break
        batch = collate_items(task, read_items(task.train_set, [row]), compute.device)
        for target in ("loss", *task.targets):
            waiting -= collector.reached_parameters(task.objective(target), batch)
    return tuple(name for name in collector.unused if name in waiting)


PROBED_FROM = 16
"""Training points that the two that gradients are checked on are chosen from."""
SHAPES_FROM = 64
"""Training points among which one of another shape is looked for."""


def probed_rows(task: Task, most: int = PROBED_FROM) -> list[int]:
    """Choose the rows of a few training points, spread over the training set."""
    size = len(task.train_set)
    return sorted({place * size // most for place in range(most)})


def probed_items(task: Task, model: nn.Module, compute: Compute) -> tuple[Item, Item]:
    """Choose the item with the largest loss of a few spread over the training set, and one of another shape.

    The gradient of a loss near zero is rounding: nothing could be checked on it. Two items of the same shape would not
    tell positions from examples. Where all have the same shape, the second is the one with the next largest loss. Long
    sequences are cut, and the second one shorter than the first.
    """
    items = read_items(task.train_set, probed_rows(task))

    def loss_of(item: Item) -> float:
        batch = collate_items(task, [item], compute.device)
        with named_fault(model), torch.enable_grad():  # a model may differentiate in its forward
            loss = float(require_values(task.loss(model, batch), 1)[0].detach())
        return loss if math.isfinite(loss) else -math.inf  # its row is named where all rows are read

    with faulty_item_named(items, loss_of):
        cut = [excerpt(item) for item in items]
        losses = [loss_of(item) for item in count_items(None, cut)]
        for place, loss in enumerate(losses):
            if cut[place] is not items[place] and not 0 < abs(loss) < math.inf:  # no target is left
                cut[place], losses[place] = items[place], loss_of(items[place])
    order = sorted(range(len(items)), key=lambda place: -losses[place])
    first, second = cut[order[0]], cut[(order[1:] or order)[0]]
    wide = (task.train_set[row] for row in probed_rows(task, SHAPES_FROM))
    shorter = excerpt(second, LONGEST - 3)
    candidates = chain((cut[place] for place in order[1:]), map(excerpt, wide))
    other = next((item for item in candidates if item_shape(item) != item_shape(first)), None)
    if other is None and second is not items[(order[1:] or order)[0]] and math.isfinite(loss_of(shorter)):
        other = shorter
    return first, second if other is None else other


def make_mask_plan(task: Task, model: nn.Module, compute: Compute) -> MaskPlan:
    """Decide what masks drop in a model, from runs of every objective on the points that gradients are checked on.

    Args:
        task: Declares the objectives.
        model: With its weights, in evaluation mode.
        compute: Its device and precision.

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
