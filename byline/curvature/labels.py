"""Labels that a curvature is estimated with: the data's, draws of the model, or all classes.

With outputs z and the loss -log p(y | z), the Gauss-Newton matrix (GGN) is the mean over examples of
J^T (d2 loss / dz2) J, which is the Fisher matrix E_{y ~ p(. | z)}[g_y g_y^T] of the gradients g_y at labels that the
model itself draws (Martens 2020, "New insights and perspectives on the natural gradient method"). Each function here
gives labels and weights such that the sum of weighted gradients' outer products is that matrix, or estimates it.

Shapes: N examples, T positions, C classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from byline.digests import content_digest
from byline.errors import InvalidTask
from byline.randomness import random_uniform, stream_key
from byline.task import Batch, Item, Outputs

Labels = Literal["given", "sampled", "exact"]
"""`given`: the training labels (empirical Fisher). `sampled`: one draw an example from the model. `exact`: all classes,
each with its probability: as many backward passes as there are classes."""

POSITIONS = 1 << 20
"""Counters set aside for the positions of one example."""


@dataclass(frozen=True, kw_only=True)
class WeightedLabels:
    """One label for each example, and what its gradient is multiplied by."""

    labels: Tensor
    """[N] or [N, T]."""
    weights_N: Tensor
    """Square roots of probabilities."""


def sampled_labels(outputs: Outputs, z: Tensor, batch: Batch, rows_N: Tensor) -> WeightedLabels:
    """Draw each example's labels from the model's predictive distribution.

    The draw is a hash of the example's row and the position, so it depends on no batch and no device's generator.

    Args:
        outputs: Says what the distribution is.
        z: The model's outputs, [N, C], [N, T, C] or [N].
        batch: The batch of these outputs.
        rows_N: int64 rows of the training set.

    Returns:
        Labels with weights one.
    """
    weights_N = torch.ones(len(z), dtype=z.dtype, device=z.device)
    rows_N = rows_N.to(z.device)
    if outputs.kind == "gaussian":
        # The inverse of the normal distribution function would be infinite at zero.
        uniform_N = random_uniform(stream_key(0, "labels"), rows_N * POSITIONS).clamp_min(2.0**-54)
        normal_N = torch.erfinv(2 * uniform_N - 1) * 2**0.5
        deviation_N = _output_curvature(outputs, z, batch).rsqrt()
        return WeightedLabels(labels=z + normal_N.to(z) * deviation_N, weights_N=weights_N)
    positions = torch.arange(z.shape[1] if z.dim() == 3 else 1, device=z.device)
    counters = rows_N[:, None] * POSITIONS + positions
    uniform = random_uniform(stream_key(0, "labels"), counters)[..., None]
    cumulative = z.double().softmax(dim=-1).cumsum(dim=-1).reshape(*counters.shape, z.shape[-1])
    # Scaled by the last cumulative sum, which rounding keeps from being exactly one.
    drawn = (cumulative < uniform * cumulative[..., -1:]).sum(dim=-1).clamp_max(z.shape[-1] - 1)
    return WeightedLabels(labels=drawn if z.dim() == 3 else drawn[:, 0], weights_N=weights_N)


MOST_LISTED = 64
"""Classes up to which a point's own curvature is taken over all of them, a pass each."""


def can_list_labels(outputs: Outputs, z: Tensor) -> bool:
    """Tell whether the expectation over the labels of a single point can be taken exactly, at a bounded price."""
    return outputs.kind == "gaussian" or (z.dim() == 2 and z.shape[1] <= MOST_LISTED)


def content_keys(items: Sequence[Item]) -> Tensor:
    """Compute numbers that seed draws in place of rows, the same for the same content: int64 [N]."""
    return torch.tensor([int.from_bytes(content_digest(item)[:5], "little") for item in items])


def every_label(z: Tensor) -> Iterator[WeightedLabels]:
    """List the classes with the square roots of their probabilities.

    Args:
        z: Logits [N, C].

    Yields:
        Each class for all examples.

    Raises:
        InvalidTask: The outputs have positions: labellings of a sequence cannot be listed.
    """
    if z.dim() != 2:
        raise InvalidTask(
            f"expected outputs of shape [examples, classes] for curvature labels = 'exact', got {z.dim()} "
            f"dimensions: a sequence has too many labellings to list, take labels = 'sampled'"
        )
    probabilities_NC = z.softmax(dim=-1)
    for label in range(z.shape[1]):
        labels_N = torch.full((len(z),), label, device=z.device)
        yield WeightedLabels(labels=labels_N, weights_N=probabilities_NC[:, label].sqrt())


def gaussian_weights(outputs: Outputs, z: Tensor, batch: Batch) -> Tensor:
    """Compute factors of the output's own gradient, so that its square is the exact curvature: [N]."""
    return _output_curvature(outputs, z, batch).sqrt()


def _output_curvature(outputs: Outputs, z_N: Tensor, batch: Batch) -> Tensor:
    """Second derivative of each loss by its own output, [N]."""
    if z_N.dim() != 1:
        raise InvalidTask(f"expected gaussian outputs of shape [examples], got {z_N.dim()} dimensions")
    with torch.enable_grad():
        leaf_N = z_N.detach().requires_grad_()
        (first_N,) = torch.autograd.grad(outputs.loss(leaf_N, batch).sum(), leaf_N, create_graph=True)
        (second_N,) = torch.autograd.grad(first_N.sum(), leaf_N)
    return second_N
