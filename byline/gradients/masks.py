"""Seeded dropout masks: one mask is one sub-network, the same for every example, training point and query.

A mask drops whole features or channels and is broadcast over batch and positions; attention
probabilities are left alone. (Deng et al. 2024, "Efficient Ensembles Improve Training Data Attribution".)
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from byline.errors import InvalidRecipe, UnsupportedModel
from byline.gradients.hooks import multiplied_outputs
from byline.randomness import random_uniform, stream_key

ATTENTION = re.compile(r"(^|[._])att(n|ention)?([._]|$)", re.IGNORECASE)
"""Modules with such a word in their name may see attention probabilities, which are square."""
CHANNEL_FIRST = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)


class DropoutMask:
    """One sub-network of a model, drawn from a seed and the modules' names alone."""

    def __init__(self, model: nn.Module, seed: int, rate: float | None = None) -> None:
        """Plan the mask.

        Args:
            model: A model with dropout modules.
            seed: Names the sub-network.
            rate: Share of features that is dropped; None takes each module's own rate.

        Raises:
            InvalidRecipe: The model has no dropout module with a rate above zero.
        """
        self._model = model
        self._rates = {
            name: module.p if rate is None else rate
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.dropout._DropoutNd)
        }
        self._rates = {name: p for name, p in self._rates.items() if p > 0}
        self._seed = seed
        if not self._rates:
            raise InvalidRecipe(
                "members.masks needs dropout modules (nn.Dropout) with a rate above zero, and this model has none: "
                "set members.mask_rate, or use several checkpoints"
            )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Drop the features while the block runs; the model is itself again afterwards."""
        with multiplied_outputs(self.factors, self._model):
            yield

    @property
    def factors(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Module name -> what its output is multiplied by, as a function of the output."""
        return {name: self._factor(name) for name in self._rates}

    def _factor(self, name: str) -> Callable[[Tensor], Tensor]:
        module = self._model.get_submodule(name)
        return partial(
            _keep_or_drop,
            key=stream_key(self._seed, "dropout", name),
            rate=self._rates[name],
            channel_first=isinstance(module, CHANNEL_FIRST),
            attention=bool(ATTENTION.search(name)),
        )


@contextmanager
def stacked(masks: Sequence[DropoutMask], model: nn.Module) -> Iterator[None]:
    """Run several sub-networks in one pass: a batch of as many copies, one after the other, each under its own mask.

    Args:
        masks: Of one model.
        model: Called with a batch whose first examples are the first mask's.

    Yields:
        Nothing; the model is itself again afterwards.
    """
    factors = [mask.factors for mask in masks]
    joined = {name: partial(_stacked_factor, [each[name] for each in factors]) for name in factors[0]}
    with multiplied_outputs(joined, model):
        yield


def _stacked_factor(factors: Sequence[Callable[[Tensor], Tensor]], output: Tensor) -> Tensor:
    if output.dim() < 2 or output.shape[0] % len(factors):
        raise UnsupportedModel(
            f"expected dropout on a batch of {len(factors)} copies, got an output of shape {tuple(output.shape)}"
        )
    copies = output.chunk(len(factors))
    return torch.cat([factor(copy).expand_as(copy) for factor, copy in zip(factors, copies, strict=True)])


def _feature_axis(output: Tensor) -> int:
    """The axis of features: the last of [N, D] and [N, T, D]; images are [N, C, H, W] or [N, H, H, C]."""
    channels_last = output.dim() == 4 and output.shape[1] == output.shape[2] != output.shape[3]
    return 1 if output.dim() >= 4 and not channels_last else output.dim() - 1


def _keep_or_drop(output: Tensor, *, key: int, rate: float, channel_first: bool, attention: bool) -> Tensor:
    """0 or 1/(1 - rate) for each feature, shaped to multiply the output."""
    if attention and output.dim() >= 3 and output.shape[-1] == output.shape[-2]:
        return output.new_ones(())  # probabilities [..., T, T] have no features
    axis = 1 if channel_first else _feature_axis(output)
    shape = [1] * output.dim()
    shape[axis] = -1
    return _drawn(key, rate, output.shape[axis], output.device).to(output.dtype).reshape(shape)


@lru_cache(maxsize=4096)
def _drawn(key: int, rate: float, size: int, device: torch.device) -> Tensor:
    """0 or 1/(1 - rate) for so many features: kept, since every query asks for the same."""
    kept = random_uniform(key, torch.arange(size, dtype=torch.int64, device=device)) >= rate
    return kept.double() / (1 - rate)
