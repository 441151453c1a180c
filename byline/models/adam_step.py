"""The step that an AdamW is about to take: its second moments and its weight decay, read before `optimizer.step()`.

torch updates exp_avg_sq <- beta2 exp_avg_sq + (1 - beta2) grad^2 and divides by sqrt(exp_avg_sq / (1 - beta2^t)) in the
same step, so the step's own gradient is added here as it will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import InvalidInput
from byline.gradients.outer_products.blocks import Block
from byline.scale.moments import SECOND


@dataclass(frozen=True, kw_only=True)
class AdamStep:
    """One coming step."""

    second: Mapping[str, Tensor]
    """`exp_avg_sq/PARAMETER`, corrected for its start at zero."""
    decay: float
    """Share of the weights that decoupled weight decay takes in this step: the mean over the attributed parameters."""


def coming_step(optimizer: torch.optim.Optimizer, model: nn.Module, blocks: Sequence[Block]) -> AdamStep:
    """Read what the next step of an AdamW will divide and decay by. Changes nothing.

    Args:
        optimizer: torch's AdamW, or an Adam without weight decay, after `backward`.
        model: The model that it trains. Its parameters hold the gradients.
        blocks: Attributed parameter blocks.

    Returns:
        The step.

    Raises:
        InvalidInput: The optimizer is another one, has options that are not modelled, or does not train a parameter.
    """
    parameters = dict(model.named_parameters())
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    names = [name for block in blocks for name in block.parameters]
    missing = [name for name in names if id(parameters.get(name)) not in groups]
    if missing:
        raise InvalidInput(
            f"expected an optimizer of every attributed parameter of the model, got one without {len(missing)} of them: "
            f"pass the one that trains it, or attribute fewer layers (Task.layers)"
        )
    own = {name: groups[id(parameters[name])] for name in names}
    _require_adamw(optimizer, list(own.values()))
    count = sum(parameters[name].numel() for name in names)
    decays = sum(parameters[n].numel() * float(g["weight_decay"]) * float(g["lr"]) for n, g in own.items())
    moments = {
        f"{SECOND}/{name}": _second(parameters[name], optimizer.state.get(parameters[name], {}), group)
        for name, group in own.items()
    }
    return AdamStep(second=moments, decay=decays / count)


def _second(parameter: Tensor, state: Mapping[str, Any], group: Mapping[str, Any]) -> Tensor:
    """Compute exp_avg_sq as the step will divide by its root."""
    beta2 = float(group["betas"][1])
    second = state.get(SECOND)
    second = torch.zeros_like(parameter) if second is None else second
    taken = int(state.get("step", 0))
    if parameter.grad is not None:
        second, taken = beta2 * second + (1 - beta2) * parameter.grad.square(), taken + 1
    return (second / (1 - beta2**taken) if taken else second).detach().float()


def _require_adamw(optimizer: torch.optim.Optimizer, groups: Sequence[Mapping[str, Any]]) -> None:
    decoupled = isinstance(optimizer, torch.optim.AdamW)
    if not isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        raise InvalidInput(
            f"expected torch's AdamW or Adam for a recipe with scale 'second_moment', got {type(optimizer).__name__}: "
            f"record plain SGD with recipe('dvemb') and without the optimizer"
        )
    if any(g.get("amsgrad") or (g["weight_decay"] and not decoupled) for g in groups):
        raise InvalidInput(
            "expected AdamW without amsgrad, or Adam without weight_decay, got another: the recording has no model of them"
        )
    if len({float(g["lr"]) for g in groups}) > 1:
        raise InvalidInput(
            "expected one learning rate for all attributed parameters, got several: attribute one group"
        )
