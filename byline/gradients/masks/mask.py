"""Seeded dropout masks: one mask is one sub-network, the same for every example, training point and query.

A mask drops whole features or channels and is broadcast over batch and positions. Attention
probabilities are left alone. (Deng et al. 2024, "Efficient Ensembles Improve Training Data Attribution".)
What each dropout module drops is decided once, in `mask_plan`, and held on every batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from byline.errors import InvalidRecipe, UnsupportedModel
from byline.gradients.capture.hooks import Factor, multiplied_outputs
from byline.gradients.masks.plan import (
    NOTHING,
    DropoutObserver,
    DropoutSite,
    MaskPlan,
    decide_site,
    dropout_modules,
)
from byline.randomness import random_uniform, stream_key


class DropoutMask:
    """One sub-network of a model, drawn from a seed and the modules' names alone."""

    def __init__(
        self, model: nn.Module, seed: int, rate: float | None = None, plan: MaskPlan | None = None
    ) -> None:
        """Plan the mask.

        Args:
            model: A model with dropout modules.
            seed: Names the sub-network.
            rate: Share of features that is dropped. None takes each module's own rate.
            plan: Features that each module drops, from `plan_masks`. None decides while the mask is active, by the
                operations before a module alone: slower, and refused where only later operations tell.

        Raises:
            InvalidRecipe: The model has no dropout module with a rate above zero, or all that it calls drop nothing.
            UnsupportedModel: The plan could not decide about a module.
        """
        modules = dropout_modules(model)
        rates = {name: module.p if rate is None else rate for name, module in modules.items()}
        self._rates = {name: p for name, p in rates.items() if p > 0}
        self._model, self._seed, self._plan = model, seed, plan
        self._decisions = _Decisions(modules)
        if not self._rates:
            raise InvalidRecipe(
                "members.masks needs dropout modules (nn.Dropout) with a rate above zero, and this model has none: "
                "set members.mask_rate, or use several checkpoints"
            )
        if plan is not None:
            plan.refuse_undecided(list(self._rates))
            _refuse_idle(plan, list(self._rates))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Drop the features while the block runs. The model is itself again afterwards.

        Raises:
            UnsupportedModel: A dropout module's output is not what was decided about, or nothing could be decided.
        """
        if self._plan is not None:
            with multiplied_outputs(self._factors(self._plan.place), self._model):
                yield
            return
        observer = DropoutObserver(self._model)
        place = partial(self._decisions.place, observer)
        with multiplied_outputs(self._factors(place), self._model), observer.follower:
            yield

    def factors(self, name: str, size: int, device: torch.device) -> Tensor:
        """Compute 0 or 1/(1 - rate) for every feature of a module: float64 [size]."""
        return _drawn(stream_key(self._seed, "dropout", name), self._rates[name], size, device)

    @property
    def rates(self) -> Mapping[str, float]:
        """Module name -> share of its features that is dropped."""
        return self._rates

    @property
    def plan(self) -> MaskPlan | None:
        """Plan of the features that each module drops, if there is one."""
        return self._plan

    def _factors(self, place: Callable[[str, Tensor], DropoutSite]) -> dict[str, Factor]:
        return {name: partial(self._factor, place, name) for name in self._rates}

    def _factor(
        self, placed: Callable[[str, Tensor], DropoutSite], name: str, output: Tensor
    ) -> Tensor | None:
        place = placed(name, output)
        if place.axis is None:
            return None
        shape = [1] * output.dim()
        shape[place.axis] = place.size
        return self.factors(name, place.size, output.device).to(output.dtype).reshape(shape)


class _Decisions:
    """Decides at a module's calls, by what came before them, and holds to what was decided."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules, self._plan = modules, NOTHING

    def place(self, observer: DropoutObserver, name: str, output: Tensor) -> DropoutSite:
        """Look up the decision about an output."""
        call = observer.call(name, output)
        try:
            place = decide_site(name, self._modules[name], [call])
        except UnsupportedModel:
            if not any(known.fits(call.shape) for known in self._plan.places.get(name, ())):
                raise
        else:
            self._plan = self._plan.add_sites(name, [place])
        return self._plan.place(name, output)


def _refuse_idle(plan: MaskPlan, names: Sequence[str]) -> None:
    if not any(place.axis is not None for name in names for place in plan.places.get(name, ())):
        raise InvalidRecipe(
            "members.masks needs a dropout module (nn.Dropout) on features or channels, and this model calls none but on "
            "attention probabilities, which masks leave alone: use several checkpoints or adapters"
        )


@contextmanager
def stack_masks(masks: Sequence[DropoutMask], model: nn.Module) -> Iterator[None]:
    """Run several sub-networks in one pass: a batch of as many copies, one after the other, each under its own mask.

    Args:
        masks: Masks of one model and one plan.
        model: Called with a batch whose first examples are the first mask's.

    Yields:
        Nothing. The model is itself again afterwards.
    """
    factors: dict[str, Factor] = {name: partial(_stacked_factor, masks, name) for name in masks[0].rates}
    with multiplied_outputs(factors, model):
        yield


def _stacked_factor(masks: Sequence[DropoutMask], name: str, output: Tensor) -> Tensor | None:
    plan = masks[0].plan
    place = None if plan is None else plan.place(name, output)
    if place is not None and place.axis is None:
        return None
    if place is None or place.axis is None or place.batch is None or output.shape[place.batch] % len(masks):
        raise UnsupportedModel(
            f"expected dropout '{name}' on a batch of {len(masks)} copies, as its mask was planned, got an output of "
            f"shape {tuple(output.shape)} that is not known to hold them one after the other: take one mask a pass"
        )
    each = output.shape[place.batch] // len(masks)
    kept_MD = torch.stack([mask.factors(name, place.size, output.device) for mask in masks])
    factor = kept_MD.to(output.dtype).repeat_interleave(each, dim=0)
    shape = [1] * output.dim()
    shape[place.batch], shape[place.axis] = output.shape[place.batch], place.size
    return (factor if place.batch < place.axis else factor.T).reshape(shape)


@lru_cache(maxsize=4096)
def _drawn(key: int, rate: float, size: int, device: torch.device) -> Tensor:
    """0 or 1/(1 - rate) for so many features: kept, since every query asks for the same."""
    kept = random_uniform(key, torch.arange(size, dtype=torch.int64, device=device)) >= rate
    return kept.double() / (1 - rate)
