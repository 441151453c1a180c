"""Decide once, for every dropout module, the features that a mask drops: an axis and its size, or nothing.

The decision is by what a tensor is, never by its name or by one batch's sizes. In this order:

1. `nn.Dropout1d`, `2d`, `3d` and `FeatureAlphaDropout` are made for channels: axis 1.
2. What a softmax made are probabilities: nothing is dropped.
3. The axis that holds features after the nearest layer before it: the last after Linear, LayerNorm, Embedding and
   recurrent layers, axis 1 after convolutions, BatchNorm and GroupNorm, followed through all that came between.
4. The axis that the nearest layer after it takes as features.
5. With up to three axes, the only one that kept its size on batches of other lengths and of other counts.

An axis whose size varied holds no features. Where nothing is decided the mask is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from byline.errors import UnsupportedModel
from byline.gradients.capture.faults import named_fault
from byline.gradients.capture.hooks import attention_fast_path_disabled, observed_outputs
from byline.gradients.masks.axes import Axes
from byline.gradients.masks.axis_follower import AxisFollower

CHANNEL_FIRST = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)
DIMENSIONS: dict[type[nn.Module], int] = {nn.Dropout1d: 3, nn.Dropout3d: 5}
"""Modules that take an input with fewer dimensions for one example without a batch."""
MOST_ELIMINATED = 3
"""Axes of a tensor that sizes alone may decide about: with more, attention's heads look like features."""

COUNTS = (1, 2, 3)
"""Examples in the first batches of a series."""
Series = Sequence[Callable[[], object]]
"""Runs of one objective: on a batch of one, two and three times the same example, then on other batches."""


@dataclass(frozen=True)
class DropoutSite:
    """The features that a mask drops from a module's outputs of one number of dimensions."""

    dimensions: int
    axis: int | None
    """Axis of the features. None where nothing is dropped."""
    size: int = 0
    """Features on it."""
    batch: int | None = None
    """Axis that runs over the examples first. None where no axis does, or none was found."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Tell whether a tensor of this shape may be one."""
        return len(shape) == self.dimensions and (self.axis is None or shape[self.axis] == self.size)

    def __str__(self) -> str:
        if self.axis is None:
            return f"nothing of {self.dimensions} axes"
        return f"axis {self.axis} of {self.dimensions}, with {self.size} features"


@dataclass(frozen=True)
class MaskPlan:
    """Every dropout module's decision."""

    places: Mapping[str, tuple[DropoutSite, ...]]
    """Decisions by name of the called modules. Several where a module has different outputs."""
    refused: Mapping[str, str]
    """Reasons for a missing decision, by module name."""

    def refuse_undecided(self, names: Sequence[str]) -> None:
        """Require that every one of these modules can be masked, if it was called.

        Raises:
            UnsupportedModel: One cannot.
        """
        for name in names:
            if name in self.refused:
                raise UnsupportedModel(self.refused[name])

    def place(self, name: str, output: Tensor) -> DropoutSite:
        """Find the decision for an output, and hold that it is what was decided about.

        Raises:
            UnsupportedModel: It is not.
        """
        self.refuse_undecided([name])
        shape = tuple(output.shape)
        known = self.places.get(name, ())
        for place in known:
            if place.fits(shape):
                return place
        if not known:
            raise UnsupportedModel(
                f"dropout '{name}' was called in none of the passes that its mask was planned with, got an output of "
                f"shape {shape}: make the model call it for every example, or set its rate to 0"
            )
        raise UnsupportedModel(
            f"expected dropout '{name}' to mask {' or '.join(map(str, known))}, as its mask was planned, got an output "
            f"of shape {shape}: give each use its own nn.Dropout, and features an axis of constant size"
        )

    def add_sites(self, name: str, places: Sequence[DropoutSite]) -> "MaskPlan":
        """Add decisions about a module. One that is no longer clear is refused."""
        own = tuple(dict.fromkeys((*self.places.get(name, ()), *places)))
        for place in own:
            others = [p for p in own if p.dimensions == place.dimensions and p.axis != place.axis]
            if others:
                words = (
                    f"expected dropout '{name}' to mask one axis, got a module that is called with different ones "
                    f"({place}; {others[0]}): give each use its own nn.Dropout"
                )
                return replace(self, refused={**self.refused, name: words})
        return replace(self, places={**self.places, name: own})


NOTHING = MaskPlan({}, {})


@dataclass(frozen=True)
class DropoutCall:
    """The output of one call of a dropout module."""

    shape: tuple[int, ...]
    axes: Axes
    features: frozenset[int]
    probabilities: bool
    normalized: bool
    """Whether every row along the last axis is non-negative and sums to one."""
    consumer: int | None = None


class DropoutObserver:
    """Watches what a model's dropout modules give, while it runs."""

    def __init__(self, model: nn.Module) -> None:
        self.follower = AxisFollower(model)
        self._seen: list[tuple[str, int, DropoutCall]] = []

    def call(self, name: str, output: Tensor) -> DropoutCall:
        """Note a call, as it is known at this moment."""
        known = self.follower.known(output)
        call = DropoutCall(
            shape=tuple(output.shape),
            axes=known.axes,
            features=known.features,
            probabilities=known.probabilities,
            normalized=_normalised(output),
        )
        self._seen.append((name, self.follower.clock, call))
        return call

    def calls(self) -> dict[str, list[DropoutCall]]:
        """List all calls in their order, by module, with what came after them."""
        found: dict[str, list[DropoutCall]] = {}
        for name, moment, call in self._seen:
            consumer = self.follower.consumer(call.axes, moment)
            found.setdefault(name, []).append(replace(call, consumer=consumer))
        return found


def dropout_modules(model: nn.Module) -> dict[str, _DropoutNd]:
    """List the dropout modules of a model, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, _DropoutNd)}


def plan_masks(model: nn.Module, objectives: Sequence[Series]) -> MaskPlan:
    """Run a model, and decide what is masked in it.

    Args:
        model: In evaluation mode.
        objectives: The runs of each objective, which call the model.

    Returns:
        The decisions. A module that could not be decided about is refused where a mask drops from it.

    Raises:
        UnsupportedModel: The model cannot be run.
    """
    modules = dropout_modules(model)
    plan = NOTHING
    for series in objectives:
        runs = [_observed(model, modules, run) for run in series]
        for name, module in modules.items():
            try:
                places = [
                    decide_site(name, module, calls) for calls in _matched([r.get(name, []) for r in runs])
                ]
            except UnsupportedModel as error:
                plan = replace(plan, refused={name: str(error), **plan.refused})
            else:
                plan = plan.add_sites(name, places) if places else plan
    return plan


def _observed(
    model: nn.Module, modules: Mapping[str, nn.Module], run: Callable[[], object]
) -> dict[str, list[DropoutCall]]:
    observer = DropoutObserver(model)
    looking = observed_outputs(modules, observer.call)
    with named_fault(model), torch.no_grad(), looking, attention_fast_path_disabled(), observer.follower:
        run()
    return observer.calls()


def _matched(runs: Sequence[Sequence[DropoutCall]]) -> list[list[DropoutCall]]:
    """Put together the calls at one place of the model: those of one order, or all where their number varies."""
    same = len({len(calls) for calls in runs}) == 1
    groups = [list(calls) for calls in zip(*runs, strict=True)] if same else [[c for r in runs for c in r]]
    return [
        [call for call in group if len(call.shape) == dimensions]
        for group in groups
        for dimensions in sorted({len(call.shape) for call in group})
    ]


def decide_site(name: str, module: nn.Module, calls: Sequence[DropoutCall]) -> DropoutSite:
    """Decide what is masked at one place of a model.

    Args:
        name: Name of the dropout module, for messages.
        module: The dropout module.
        calls: Its calls there. The first three on one, two and three times the same example, if so many.

    Returns:
        The decision.

    Raises:
        UnsupportedModel: There is none.
    """
    dimensions = len(calls[0].shape)
    steady = {p for p in range(dimensions) if len({call.shape[p] for call in calls}) == 1}
    features = frozenset().union(*(call.features for call in calls))
    if isinstance(module, CHANNEL_FIRST):
        if dimensions < 2 or DIMENSIONS.get(type(module), dimensions) != dimensions:
            raise _undecided(name, module, calls[0], "its input has no batch of channels")
        candidates = {1}
    elif any(call.probabilities for call in calls):
        return DropoutSite(dimensions, None)
    else:
        consumers = {call.consumer for call in calls if call.consumer is not None}
        if _are_probabilities(calls) and dimensions - 1 not in features | consumers:
            return DropoutSite(dimensions, None)
        candidates = _narrowed(features, consumers, steady) or (
            steady if 1 < dimensions <= MOST_ELIMINATED and len(calls) > 1 else set()
        )
    if candidates and not candidates & steady:
        raise _undecided(name, module, calls[0], "the number of its features varies with the batch")
    if len(candidates) != 1:
        raise _undecided(name, module, calls[0], "no layer before or after it says which axis holds features")
    axis = candidates.pop()
    return DropoutSite(dimensions, axis, calls[0].shape[axis], _batch_axis(calls))


def _narrowed(features: frozenset[int], consumers: set[int], steady: set[int]) -> set[int]:
    """The axes that layers before a place name, or those after it, and of several those that are steady."""
    found = set(features or consumers)
    if len(found) > 1:
        found = found & steady or found
    return found & consumers if len(found) > 1 else found


def _undecided(name: str, module: nn.Module, call: DropoutCall, cause: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"cannot decide what a mask drops at dropout '{name}' ({type(module).__name__}), with an output of shape "
        f"{call.shape}: {cause}. Use nn.Dropout1d, 2d or 3d for [N, C, ...]; for features on the last axis put the "
        f"dropout beside a Linear or LayerNorm; or set its rate to 0 and leave members.mask_rate out"
    )


def _are_probabilities(calls: Sequence[DropoutCall]) -> bool:
    return all(call.normalized for call in calls) and any(call.shape[-1] > 1 for call in calls)


def _normalised(output: Tensor) -> bool:
    if output.dim() < 2 or not output.is_floating_point() or not output.numel():
        return False
    tolerance = 1e-2 if output.dtype in {torch.bfloat16, torch.float16} else 1e-4
    off = (output.sum(dim=-1, dtype=torch.float64) - 1).abs()
    return bool((output >= 0).all()) and bool((off < tolerance).all())


def _batch_axis(calls: Sequence[DropoutCall]) -> int | None:
    """The axis that grows with the number of examples, if it holds them and nothing else, or is known to hold them first."""
    if len(calls) < len(COUNTS):
        return None
    one, two, three = (call.shape for call in calls[:3])
    found = [p for p in range(len(one)) if two[p] == 2 * one[p] and three[p] == 3 * one[p]]
    if len(found) != 1:
        return None
    in_two, in_three = ([part.size for part in call.axes[found[0]]] for call in calls[1:3])
    examples_first = (in_two[0], in_three[0]) == COUNTS[1:] and in_two[1:] == in_three[1:]
    return found[0] if examples_first else None
