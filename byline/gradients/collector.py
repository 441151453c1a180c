"""Per-example gradients of a model, by hooks: one forward and one backward pass for a whole batch.

Backward stops at the outputs of the first attributed layers and computes no parameter's gradient, so a
collection costs less than a training step's passes; the outer products that would be the gradients are
left to whoever consumes the factors.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from byline.errors import InvalidTask, NonFiniteGradient, UnsupportedModel
from byline.gradients.blocks import Block
from byline.gradients.factors import BatchGradients, DenseFactor, KroneckerGradient, Use
from byline.gradients.hooks import RecordedCall, recording
from byline.gradients.layers import Call, LayerRule, attributed_parameters, rule_for
from byline.task import Batch, LayerSelection, Objective

LayoutKind = Literal["batched", "shared", "flattened"]
"""How a module's leading dimension relates to the batch: it is N; it has none or 1; it is N x positions."""


@dataclass(frozen=True)
class Layout:
    """How a module sees the batch."""

    kind: LayoutKind = "batched"
    """Of its output."""
    per_example: frozenset[int | str] = frozenset({0})
    """Arguments, by position or name, whose leading dimension follows the batch."""


@dataclass(frozen=True)
class AttributedModule:
    """A module, its rule, and which block each of its parameters belongs to."""

    module: nn.Module
    rule: LayerRule
    blocks: Mapping[str, str]
    """The module's own parameter name -> block name; a folded bias has none."""
    folded: bool
    layout: Layout = Layout()


class GradientCollector:
    """Collects per-example gradients of one model's attributed parameters.

    The model belongs to its collector: it is put into evaluation mode by whoever loads it and its
    parameters are frozen here. Build one with `byline.gradients.probe.build_collector`, which also holds
    the result against plain autograd.
    """

    def __init__(self, model: nn.Module, layers: LayerSelection | None = None) -> None:
        refuse_training_mode(model)
        self.model = model.requires_grad_(requires_grad=False)
        self.modules, self.blocks = find_blocks(model, layers or LayerSelection())

    def set_layouts(self, layouts: Mapping[str, Layout]) -> None:
        """Fix how modules see the batch, and forget those that the objective never calls."""
        self.modules = {n: replace(m, layout=layouts[n]) for n, m in self.modules.items() if n in layouts}
        alive = {block for m in self.modules.values() for block in m.blocks.values()}
        self.blocks = tuple(block for block in self.blocks if block.name in alive)

    def collect(
        self,
        objective: Objective,
        batch: Batch,
        count: int,
        within: AbstractContextManager[Any] | None = None,
    ) -> BatchGradients:
        """Differentiate an objective for every example of a batch.

        Args:
            objective: `(model, batch) -> values_N`, each value a function of its own example alone.
            batch: A collated batch.
            count: N.
            within: Active around the forward pass: a dropout mask, mixed precision.

        Returns:
            The values and every block's gradients, detached, on the model's device.

        Raises:
            InvalidTask: The objective does not return N numbers.
            NonFiniteGradient: A value or a gradient is NaN or infinite.
            UnsupportedModel: A hooked module's input was overwritten.
        """
        hooked = {name: m.module for name, m in self.modules.items()}
        with within or nullcontext(), torch.enable_grad():
            with recording(hooked, lambda name, output: self._expand(name, output, count)) as record:
                values_N = checked_values(objective(self.model, batch), count)
                refuse_no_path(values_N, record.anchors)
                torch.autograd.grad(values_N.sum(), record.anchors, allow_unused=True)
            with torch.no_grad(), torch.autocast(values_N.device.type, enabled=False):
                uses = self._uses(record.calls, count)
        gradients = BatchGradients(
            values_N.detach(), {name: KroneckerGradient(u) for name, u in uses.items()}
        )
        refuse_non_finite(gradients)
        return gradients

    def _expand(self, name: str, output: Tensor, count: int) -> Tensor:
        if self.modules[name].layout.kind != "shared":
            return output
        return _shared(output, count)

    def _uses(self, calls: list[RecordedCall], count: int) -> dict[str, list[Use]]:
        uses: dict[str, list[Use]] = {block.name: [] for block in self.blocks}
        for recorded in calls:
            if recorded.output_grad is None:
                continue  # the objective does not depend on this call
            recorded.check_unchanged()
            attributed = self.modules[recorded.name]
            for name, use in attributed.rule.uses(_call(recorded, attributed, count)).items():
                if attributed.blocks.get(name) in uses:
                    uses[attributed.blocks[name]].append(use)
        for block in self.blocks:
            if not uses[block.name]:  # a target need not depend on every parameter
                uses[block.name].append(_zero_use(block, count, self._example_tensor()))
        return uses

    def _example_tensor(self) -> Tensor:
        return next(self.model.parameters())


def _zero_use(block: Block, count: int, like: Tensor) -> Use:
    left, right = like.new_zeros(count, 1, block.rows), like.new_zeros(count, 1, block.columns)
    return Use(DenseFactor(left), DenseFactor(right))


def _call(recorded: RecordedCall, attributed: AttributedModule, count: int) -> Call:
    assert recorded.output_grad is not None
    layout = attributed.layout

    def arranged(place: int | str, value: Any) -> Any:
        value = _full_precision(value)
        if not isinstance(value, Tensor) or layout.kind == "batched":
            return value
        if layout.kind == "shared":
            return _shared(value, count)
        return _per_example(value, count) if place in layout.per_example else value

    args = tuple(arranged(place, value) for place, value in enumerate(recorded.args))
    kwargs = {name: arranged(name, value) for name, value in recorded.kwargs.items()}
    grad = _full_precision(recorded.output_grad)
    if layout.kind == "flattened":
        grad = _per_example(grad, count)
    every = {*range(len(args)), *kwargs} if layout.kind == "shared" else layout.per_example
    tensors = {p for p in every if isinstance(args[p] if isinstance(p, int) else kwargs[p], Tensor)}
    return Call(attributed.module, args, kwargs, grad, attributed.folded, frozenset(tensors))


def _full_precision(value: Any) -> Any:
    """Detach a tensor, and leave mixed precision: what follows the model's own passes is float32 at least."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().float() if value.dtype in {torch.bfloat16, torch.float16} else value.detach()


def _per_example(tensor: Tensor, count: int) -> Tensor:
    """Part a leading dimension that runs over examples and their positions."""
    return tensor.reshape(count, -1, *tensor.shape[1:])


def _shared(tensor: Tensor, count: int) -> Tensor:
    """Give every example its own slice of a tensor that the model shares among them."""
    if tensor.dim() == 0 or tensor.shape[0] != 1:
        tensor = tensor[None]
    return tensor.expand(count, *tensor.shape[1:])


def find_blocks(
    model: nn.Module, layers: LayerSelection
) -> tuple[dict[str, AttributedModule], tuple[Block, ...]]:
    """Cut the selected parameters of a model into blocks.

    A parameter that several modules share is one block, whichever of them was selected. A bias is folded
    into its weight's block unless one of the two is shared.

    Raises:
        InvalidTask: The selection leaves nothing to attribute.
    """
    owners = _owning_modules(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    selected = {
        id(p) for name, m in owners.items() if layers.selects(name) for _, p in attributed_parameters(m)
    }
    if not selected:
        known = ", ".join(list(owners)[:8])
        raise InvalidTask(
            f"expected Task.layers to select modules with parameters, got a selection of none of {len(owners)}: "
            f"their names begin {known}"
        )
    shares = Counter(id(p) for m in owners.values() for _, p in attributed_parameters(m))
    modules: dict[str, AttributedModule] = {}
    blocks: dict[str, Block] = {}
    for module_name, module in owners.items():
        own = dict(attributed_parameters(module))
        if not any(id(p) in selected for p in own.values()):
            continue
        rule = rule_for(module)
        folded = rule.folds_bias and "bias" in own and all(shares[id(p)] == 1 for p in own.values())
        heads = {n: p for n, p in own.items() if id(p) in selected and not (folded and n == "bias")}
        for name, parameter in heads.items():
            parts = [parameter, own["bias"]] if folded else [parameter]
            form = rule.weight_form if name == "weight" else "vector"
            block = Block(
                name=names[id(parameter)],
                parameters=tuple(names[id(p)] for p in parts),
                shapes=tuple(tuple(p.shape) for p in parts),
                form=form,
            )
            blocks.setdefault(block.name, block)
        attributed = {name: names[id(p)] for name, p in heads.items()}
        modules[module_name] = AttributedModule(module, rule, attributed, folded)
    return modules, tuple(blocks.values())


def _owning_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that apply parameters of their own, by name, in the order of the model."""
    owners: dict[str, nn.Module] = {}
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        parameters = attributed_parameters(module)
        if module in inside or not parameters:
            continue
        owners[name] = module
        if len(parameters) > len(list(module.parameters(recurse=False))):
            inside.update(module.modules())
    return owners


def refuse_training_mode(model: nn.Module) -> None:
    """Refuse a model whose examples influence one another, or whose output is random.

    Raises:
        UnsupportedModel: A module is in training mode.
    """
    for name, module in model.named_modules():
        if module.training and isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UnsupportedModel(
                f"BatchNorm '{name}' is in training mode: its output mixes the examples of a batch, so there is no "
                f"gradient of one example; call model.eval()"
            )
        if module.training and isinstance(module, nn.modules.dropout._DropoutNd):
            raise UnsupportedModel(
                f"Dropout '{name}' is in training mode: gradients would be random; call model.eval(), and ask for "
                f"members.masks in the recipe if dropout is to make an ensemble"
            )


def checked_values(values: Tensor, count: int) -> Tensor:
    """Hold that an objective returned one number an example.

    Raises:
        InvalidTask: It returned something else.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (count,):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InvalidTask(
            f"expected the loss or target to return one value an example, shape ({count},), got {shape}: "
            f"use reduction='none' and reduce over positions only"
        )
    return values


def refuse_no_path(values_N: Tensor, anchors: list[Tensor]) -> None:
    """Refuse an objective that no attributed layer's output leads to.

    Raises:
        UnsupportedModel: It depends on parameters directly, or on nothing.
    """
    if not anchors or not values_N.requires_grad:
        raise UnsupportedModel(
            "expected the loss or target to be computed from the output of the attributed layers, got one that "
            "depends on parameters directly, or on none: compute it with the model's forward"
        )


def refuse_non_finite(gradients: BatchGradients) -> None:
    """Refuse NaN and infinity.

    Raises:
        NonFiniteGradient: A value or a factor is not finite.
    """
    bad = (~gradients.objective_N.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise NonFiniteGradient(f"the loss or target is NaN or infinite for example {bad[0]} of this batch")
    for name, gradient in gradients.blocks.items():
        if not gradient.is_finite():
            raise NonFiniteGradient(
                f"a gradient of '{name}' is NaN or infinite in this batch of {len(gradients)}"
            )
