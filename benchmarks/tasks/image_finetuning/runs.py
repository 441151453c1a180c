"""Pretraining and fine-tuning of many networks at once: AdamW, a linear decay to zero, no dropout.

The order of points follows from a seed and from their rows, so subsets with one seed are trained on what is left in the
same order, from the same weights.

Letters: M networks, S training points of each, R training points.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.image_finetuning.protocol import Protocol
from benchmarks.tasks.networks import Data, forward, initial_parameters

Parameters = list[Tensor]
"""Weights [M, in, out] and biases [M, 1, out] of every layer, in turn."""
Watch = Callable[[int, Parameters, torch.optim.Optimizer], None]
"""Called with (steps, parameters, optimizer) after every step."""


def pretrain(data: Data, seed: int, protocol: Protocol) -> Parameters:
    """Train one network from random weights on the images of the earlier classes."""
    generator = torch.Generator().manual_seed(seed)
    parameters = initial_parameters(protocol.widths, 1, generator)
    orders = [
        torch.rand(1, len(data.x), generator=generator).argsort() for _ in range(protocol.pretraining_epochs)
    ]
    return _optimize(parameters, data, orders, protocol.batch, protocol.pretraining_rate)


def fine_tune(
    start: Parameters,
    data: Data,
    rows_MS: Tensor,
    seed: int,
    protocol: Protocol,
    watch: Watch | None = None,
) -> Parameters:
    """Fine-tune networks, each on rows of its own.

    Args:
        start: One network's parameters, which all begin with.
        data: All training points.
        rows_MS: Rows that each network is trained on.
        seed: Of the order, common to all networks.
        protocol: Epochs, batch, learning rate.
        watch: Sees every step.

    Returns:
        The parameters of M networks.
    """
    models = len(rows_MS)
    parameters = [p.detach().repeat(models, 1, 1).requires_grad_() for p in start]
    generator = torch.Generator().manual_seed(seed)
    keys = [torch.rand(len(data.x), generator=generator) for _ in range(protocol.epochs)]
    orders = [rows_MS.gather(1, key_R[rows_MS].argsort(dim=1)) for key_R in keys]
    return _optimize(parameters, data, orders, protocol.batch, protocol.learning_rate, watch)


def _optimize(
    parameters: Parameters,
    data: Data,
    orders: Sequence[Tensor],
    batch: int,
    learning_rate: float,
    watch: Watch | None = None,
) -> Parameters:
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    batches = [rows_MB for order_MS in orders for rows_MB in order_MS.split(batch, dim=1)]
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for step, rows_MB in enumerate(batches, start=1):
        logits = forward(parameters, data.x[rows_MB])
        losses = F.cross_entropy(logits.flatten(0, 1), data.y[rows_MB].flatten(), reduction="none")
        optimizer.zero_grad(set_to_none=True)
        (losses.sum() / rows_MB.shape[1]).backward()
        optimizer.step()
        decay.step()
        if watch is not None:
            watch(step, parameters, optimizer)
    return [p.detach() for p in parameters]
