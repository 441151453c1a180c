"""Pretraining and fine-tuning: AdamW, a linear decay to zero, gradients clipped at 1, no dropout.

The order of points follows from a seed and from their rows, so subsets with one seed are trained on what is left in the
same order, from the same weights.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.tasks.finetuning.protocol import Protocol, network
from byline.models.optimizer_state import adam_state
from byline.task import Batch, TrainSet
from byline.tasks.token_objectives import collate_causal, mean_token_loss, token_losses

Weights = dict[str, Tensor]
Save = Callable[[int, Weights, Weights], None]
"""(steps, weights, Adam's moments)."""


def pretrain(folder: Path, items: TrainSet, seed: int, protocol: Protocol) -> Weights:
    """Train from random weights on the texts of the first kind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(folder)
        orders = [torch.rand(len(items)).argsort() for _ in range(protocol.pretraining_epochs)]
    _optimize(model, items, orders, protocol.batch, protocol.pretraining_rate)
    return weights_of(model)


def fine_tune(
    start: tuple[Path, Weights],
    items: TrainSet,
    rows: Sequence[int],
    seed: int,
    protocol: Protocol,
    save: Save | None = None,
) -> Weights:
    """Fine-tune on some rows.

    Args:
        start: Folder of the configuration, and weights to begin with.
        items: All training points.
        rows: Those that are trained on.
        seed: Of the order.
        protocol: Epochs, batch, learning rate.
        save: Called at the parts `protocol.along` of the run.

    Returns:
        The weights.
    """
    model = loaded(*start)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.tensor(rows)
    orders = [
        chosen[torch.rand(len(items), generator=generator)[chosen].argsort()] for _ in range(protocol.epochs)
    ]
    steps = sum(-(-len(order) // protocol.batch) for order in orders)
    after = {max(1, round(part * steps)) for part in protocol.along}

    def watch(step: int, optimizer: torch.optim.Optimizer) -> None:
        if save is not None and step in after:
            save(step, weights_of(model), adam_state(optimizer, model))

    _optimize(model, items, orders, protocol.batch, protocol.learning_rate, watch)
    return weights_of(model)


def minus_losses(folder: Path, weights: Weights, items: TrainSet) -> np.ndarray:
    """Compute minus the mean token loss of every item."""
    model = loaded(folder, weights)
    with torch.no_grad():
        batches = torch.arange(len(items)).split(50)
        losses = [
            mean_token_loss(model, collate_causal([items[row] for row in rows.tolist()], pad_token=0))
            for rows in batches
        ]
    return -torch.cat(losses).numpy()


def loaded(folder: Path, weights: Weights) -> nn.Module:
    """Build the network with these weights."""
    model = network(folder)
    model.load_state_dict(weights, strict=False)
    model.tie_weights()  # type: ignore[operator]  # a method of every Hugging Face model
    return model


def weights_of(model: nn.Module) -> Weights:
    """Copy the parameters; a tied head is listed once."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the batch's loss: of each chunk the mean over its tokens. Tokens without a label count with a loss of zero."""
    losses_NT, _ = token_losses(model, batch)
    return (losses_NT.sum(1) / batch["attention_mask"][:, 1:].sum(1)).mean()


def _optimize(
    model: nn.Module,
    items: TrainSet,
    orders: Sequence[Tensor],
    batch: int,
    learning_rate: float,
    watch: Callable[[int, torch.optim.Optimizer], None] | None = None,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    batches = [rows.tolist() for order in orders for rows in order.split(batch)]
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for step, rows in enumerate(batches, start=1):
        loss = _loss(model, collate_causal([items[row] for row in rows], pad_token=0))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if watch is not None:
            watch(step, optimizer)
