"""Seeded dropout masks: one mask is one sub-network, the same for every example, training point and query.

A mask drops whole features or channels and is broadcast over batch and positions; attention
probabilities are left alone. (Deng et al. 2024, "Efficient Ensembles Improve Training Data Attribution".)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from byline.errors import InvalidRecipe
from byline.gradients.hooks import multiplied_outputs
from byline.randomness import random_uniform, stream_key

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
        factors = {name: self._factor(name) for name in self._rates}
        with multiplied_outputs(factors, self._model):
            yield

    def _factor(self, name: str) -> "_Factor":
        module = self._model.get_submodule(name)
        return _Factor(stream_key(self._seed, "dropout", name), self._rates[name], isinstance(module, CHANNEL_FIRST))


class _Factor:
    """Output -> what multiplies it: 0 or 1/(1 - rate) for each feature."""

    def __init__(self, key: int, rate: float, channel_first: bool) -> None:  # noqa: FBT001 - internal
        self._key, self._rate, self._channel_first = key, rate, channel_first

    def __call__(self, output: Tensor) -> Tensor:
        if output.dim() >= 4 and not self._channel_first:
            return output.new_ones(())  # attention probabilities [N, heads, T, T]
        axis = 1 if self._channel_first else output.dim() - 1
        counters = torch.arange(output.shape[axis], dtype=torch.int64, device=output.device)
        kept = random_uniform(self._key, counters) >= self._rate
        shape = [1] * output.dim()
        shape[axis] = -1
        return (kept.to(output.dtype) / (1 - self._rate)).reshape(shape)
