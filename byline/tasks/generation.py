"""Seeded generation of a few tokens: the completion of a query that came without one."""

import math
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from byline.tasks.classification import device_of


class Generation(BaseModel):
    """How a missing completion is generated. Deterministic: a seed, and no state between calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=16, ge=1, le=4096)
    """At most so many; fewer where the context is full or the text ends."""
    temperature: float = Field(default=0.0, ge=0, le=10)
    """0 takes the most probable token; above it tokens are drawn."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the draws."""


@torch.no_grad()
def generate(
    model: nn.Module, prompt_T: Tensor, limit: int, options: Generation, stop: int | None
) -> tuple[Tensor, float]:
    """Continue a prompt.

    The loop is spelled out, as the library's own reads options from the model's files and draws
    from the global random state.

    Args:
        model: A Hugging Face causal language model, in evaluation mode.
        prompt_T: Tokens, at least one.
        limit: Tokens that prompt and completion may have together; above the prompt's length.
        options: Length, temperature, seed.
        stop: The token that ends a text; None goes on to the limit.

    Returns:
        completion_T (on the CPU) and its log probability at temperature 1.
    """
    device = device_of(model)
    generator = torch.Generator().manual_seed(options.seed)
    tokens: list[int] = prompt_T.tolist()
    first, log_probability = len(tokens), 0.0
    while len(tokens) < min(limit, first + options.tokens):
        output: Any = model(input_ids=torch.tensor([tokens], device=device), use_cache=False)
        log_p_V = output.logits[0, -1].to("cpu", torch.float64).log_softmax(0)
        token = _choose(log_p_V, options.temperature, generator)
        tokens.append(token)
        log_probability += float(log_p_V[token])
        if token == stop:
            break
    return torch.tensor(tokens[first:]), log_probability


def _choose(log_p_V: Tensor, temperature: float, generator: torch.Generator) -> int:
    if math.isclose(temperature, 0.0):
        return int(log_p_V.argmax())
    return int(torch.multinomial((log_p_V / temperature).softmax(0), 1, generator=generator))
