"""Compare a collector with plain autograd before anything is built or served with it.

A few examples are differentiated in a batch and alone. Where one pass for a batch is not exact, examples are taken one
at a time from then on. Differences that vanish in a higher precision are rounding.
"""

import copy
import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.batch_axes import Sample, learn_separation
from byline.gradients.capture.faults import InseparableError, first_line, named_fault
from byline.gradients.capture.graph import forward_graph
from byline.gradients.capture.trace import record_trace
from byline.gradients.collector import GradientCollector, require_values
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.passes.assembly import to_dense
from byline.gradients.quantization import let_gradients_pass
from byline.progress import count_steps
from byline.task import Batch, LayerSelection, Objective

T = TypeVar("T")

RELATIVE_TOLERANCE = 2e-3
"""Largest difference from autograd, in the length of a block's gradient. Float32 sums stay far below it."""
ROUNDING = 1e-6
"""Largest difference in the length of the whole gradient: blocks whose gradient nearly vanishes are differences of
large numbers."""


def build_collector(
    model: nn.Module, objective: Objective, sample: Sample, layers: LayerSelection | None = None
) -> GradientCollector:
    """Make a collector for a model, and check that it is exact.

    Args:
        model: In evaluation mode. It belongs to the collector from now on.
        objective: The function to differentiate.
        sample: Batches of 1, 2 and 3 examples.
        layers: Which modules to attribute.

    Returns:
        A collector whose gradients agree with autograd on the sample.

    Raises:
        UnsupportedModel: The model cannot be differentiated. The message names the module.
    """
    collector = GradientCollector(let_gradients_pass(model), layers)
    with count_steps(None, 5) as advance:
        _refuse_failing(collector, objective, sample)
        advance(1)
        with named_fault(collector.model, watched=True):
            _capture_or_not(collector, objective, sample)
        advance(1)
        if collector.captures:
            _separate(collector, objective, sample)
        if collector.separation is None:
            check_batches(collector, objective, sample, "train signal")
        advance(2)
        reached = collector.reached_parameters(objective, sample(1))
    collector.unused = tuple(name for name in collector.parameters if name not in reached)
    return collector


def _refuse_failing(collector: GradientCollector, objective: Objective, sample: Sample) -> None:
    """Run the model without capturing: an error here comes from the model or its data.

    Raises:
        UnsupportedModel: It raises, is random, or its value depends on no attributed parameter.
    """
    found = []
    for count in (1, 1, 2):
        with named_fault(collector.model), collector.differentiable():
            found.append(require_values(objective(collector.model, sample(count)), count))
    if not found[-1].requires_grad:
        raise UnsupportedModel(
            "expected a loss or target that depends on the attributed parameters, got one that depends on none: compute "
            "it with the model's forward, outside torch.no_grad()"
        )
    used = forward_graph(found[-1]).reads
    if not any(id(parameter) in used for parameter in collector.parameters.values()):
        raise UnsupportedModel(
            "expected a loss or target of the model that they are called with, (model, batch), got one that depends on "
            "parameters of another model alone: use the argument `model`, and no model from outside"
        )
    first, again = (values_N.detach().double() for values_N in found[:2])
    if bool(((first - again).abs() > collector.rounding * (1 + first.abs())).any()):
        raise UnsupportedModel(
            "expected a model that gives the same value for the same example, got another the second time: it draws random "
            "numbers (F.dropout without training=self.training, torch.randn) or keeps a state between calls; make its "
            "evaluation deterministic"
        )


def _capture_or_not(collector: GradientCollector, objective: Objective, sample: Sample) -> None:
    """Hold one example's captured gradient against autograd's, and capture nothing where they differ."""
    found = collector.traced_pass(objective, sample(1), 1).differentiate(0, keep=False)
    alone = autograd(collector, objective, sample(1), 1)
    if _worst_block(collector, [found], [alone]) is None:
        return
    for precise, cast in _precisely(collector, sample):
        found = precise.traced_pass(objective, cast(1), 1).differentiate(0, keep=False)
        if _worst_block(precise, [found], [autograd(precise, objective, cast(1), 1)]) is None:
            return
    collector.captures = False
    _give_up_batches(collector, "captured gradients are not autograd's, so that autograd takes each whole")


def _separate(collector: GradientCollector, objective: Objective, sample: Sample) -> None:
    """Learn to cut batches into their examples by layers, or else by modules around them. Give batches up otherwise."""
    reasons = []
    for by_modules in (False, True):
        try:
            with named_fault(collector.model, watched=True):
                collector.separation = learn_separation(collector, objective, sample, by_modules=by_modules)
                block = _differing_block(collector, objective, sample)
            if block is None or _is_rounding(collector, objective, sample):
                return
            reasons.append(
                f"the train signal's gradient by '{block}' differs between a batch and an example alone"
            )
        except InseparableError as reason:
            reasons.append(str(reason))
        except UnsupportedModel as error:  # what autograd says of operations in place
            reasons.append(f"the layers cannot be watched ({first_line(error.__cause__ or error)})")
    _give_up_batches(collector, reasons[0])


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
    head does with it is attributed. The model must have no other user.

    Args:
        model: In evaluation mode.
        objective: The function to differentiate.
        sample: Batches of 1, 2 and 3 examples.
        layers: Candidate modules.

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
    with (
        named_fault(model),
        collector.differentiable(),
        record_trace(collector.trace_targets(owners), spread) as trace,
    ):
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
        words: Name of the objective in messages.

    Raises:
        UnsupportedModel: A single example's gradient cannot be taken.
    """
    _refuse_failing(collector, objective, sample)
    check_batches(collector, objective, sample, words)


def check_batches(collector: GradientCollector, objective: Objective, sample: Sample, words: str) -> None:
    """Hold an objective that works on single examples against autograd, in a batch. See `check_objective`."""
    try:
        with named_fault(collector.model, watched=True):
            block = _differing_block(collector, objective, sample)
    except InseparableError as reason:
        _give_up_batches(collector, str(reason))
        check_batches(collector, objective, sample, words)
        return
    if block is None or _is_rounding(collector, objective, sample):
        return
    if collector.separation is not None:
        _give_up_batches(
            collector, f"the {words}'s gradient by '{block}' differs between a batch and an example alone"
        )
        check_batches(collector, objective, sample, words)
    else:
        _take_alone(collector, objective, sample, words, block)


def _take_alone(
    collector: GradientCollector, objective: Objective, sample: Sample, words: str, block: str
) -> None:
    """Take examples alone from now on.

    Raises:
        UnsupportedModel: The loss compares examples: alone, none has a gradient.
    """
    if all(not bool(grad.any()) for grad in autograd(collector, objective, sample(1), 1).values()):
        raise UnsupportedModel(
            f"the {words} of an example alone has no gradient, and in a batch it has: it compares the examples of a batch "
            f"(a contrastive loss), so there is no gradient of one example; give each item its own negatives"
        )
    collector.independent = False
    collector.notice = (
        f"gradients are taken one example at a time, since the {words}'s gradient by '{block}' depends on the other "
        f"examples of a batch, such as on the length that they are padded to"
    )


def _is_rounding(collector: GradientCollector, objective: Objective, sample: Sample) -> bool:
    """Tell whether the difference vanishes in a higher precision."""
    for precise, cast in _precisely(collector, sample):
        try:
            if _differing_block(precise, objective, cast) is None:
                return True
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: S112  # a model that cannot be run so gives no second opinion
            continue
    return False


def _differing_block(collector: GradientCollector, objective: Objective, sample: Sample) -> str | None:
    """The block whose gradient in a batch differs most from autograd's, if one does.

    Raises:
        InseparableError: The batch cannot be taken together.
    """
    if not collector.independent:
        return None
    with count_steps(None, 5) as advance:
        alone = autograd(collector, objective, sample(1), 1)
        advance(1)
        if collector.separation is None:
            passed = collector.traced_pass(objective, sample(3), 3)
            return _worst_block(collector, [passed.differentiate(0, keep=False)], [alone])
        found = collector.collect_batch(objective, sample(3), 3)  # gone before the next graph is made
        parts = [found.examples(slice(n, n + 1)) for n in range(3)]
        advance(1)
        passed = collector.traced_pass(objective, sample(3), 3)
        other = (_as_tensors(collector, passed.differentiate(1, keep=False)) for _ in range(1))
        return _worst_block(collector, parts, _counted(chain([alone], other, [alone]), advance))


def _counted(found: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    """Count what is made.

    Yields:
        Each of `found`.
    """
    for each in found:
        advance(1)
        yield each


def _as_tensors(collector: GradientCollector, single: BatchGradients) -> dict[str, Tensor]:
    """Parameter -> gradient, of a batch of one."""
    found: dict[str, Tensor] = {}
    for block in collector.blocks:
        found |= {n: t[0] for n, t in block.tensors(single.blocks[block.name].dense()).items()}
    return found


def _worst_block(
    collector: GradientCollector, found: Sequence[BatchGradients], expected: Iterable[Mapping[str, Tensor]]
) -> str | None:
    """The block that differs most, if one does by more than rounding.

    Args:
        collector: A collector with the blocks.
        found: Batches of one.
        expected: Parameter -> gradient, of each.
    """
    total: float | None = None  # of the first example
    worst, name = 1.0, None
    for single, tensors in zip(found, expected, strict=True):
        if total is None:
            total = float(torch.stack([g.double().norm() for g in tensors.values()]).norm())
        for block in collector.blocks:
            want_OI = block.matrix({n: tensors[n][None] for n in block.parameters})[0]
            got_OI = single.blocks[block.name].dense()[0]
            if got_OI.shape != want_OI.shape:
                return block.name
            allowed = RELATIVE_TOLERANCE * float(want_OI.norm()) + ROUNDING * total + 1e-30
            excess = float((got_OI - want_OI).norm()) / allowed
            if not excess <= worst:
                worst, name = excess, block.name
    return name


def autograd(
    collector: GradientCollector, objective: Objective, batch: Batch, count: int
) -> dict[str, Tensor]:
    """Compute the gradients of the summed objective, for every attributed parameter. Zeros where it takes no part."""
    with named_fault(collector.model), collector.differentiable():
        total = require_values(objective(collector.model, batch), count).sum()
        parameters = list(collector.parameters.values())
        if not total.requires_grad:
            return {name: torch.zeros_like(p) for name, p in collector.parameters.items()}
        found = torch.autograd.grad(total, parameters, allow_unused=True)
    return {
        name: torch.zeros_like(p) if grad is None else to_dense(grad)
        for (name, p), grad in zip(collector.parameters.items(), found, strict=True)
    }


def _precisely(collector: GradientCollector, sample: Sample) -> Iterator[tuple[GradientCollector, Sample]]:
    """The same model and examples in higher precisions.

    Yields:
        A collector and its sample. Nothing where the model cannot be copied or cast.
    """
    current = max(torch.finfo(p.dtype).bits for p in collector.parameters.values())
    for dtype in (torch.float32, torch.float64):
        if torch.finfo(dtype).bits <= current:
            continue
        try:
            model = copy.deepcopy(collector.model).to(dtype)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # any error of a model that cannot be copied
            return
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in collector.parameters)
        precise = GradientCollector(model)
        precise.blocks, precise.index = collector.blocks, collector.index
        precise.separation, precise.copies = collector.separation, collector.copies
        yield precise, partial(_cast_sample, sample, dtype)


def _cast_sample(sample: Sample, dtype: torch.dtype, count: int) -> Batch:
    return _cast(sample(count), dtype)


def _cast(batch: Batch, dtype: torch.dtype) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(dtype) if batch.is_floating_point() else batch
    if isinstance(batch, Mapping):
        return {key: _cast(value, dtype) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts: list[Any] = [_cast(part, dtype) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
