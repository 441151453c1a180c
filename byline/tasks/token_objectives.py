"""Losses and targets of causal language models, per example and blind to padding.

Shapes: N examples, T positions, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from byline.task import Batch, Outputs
from byline.tasks.documents import IGNORED


def collate_causal(items: Sequence[dict[str, Tensor]], pad_token: int) -> dict[str, Tensor]:
    """Pad rows on the right. Positions and the tokens before stay what they are.

    Args:
        items: `{"input_ids": [T], "labels": [T]}` each, of any lengths.
        pad_token: Fills `input_ids`, never attended to, never a target.

    Returns:
        `input_ids`, `labels` and `attention_mask`, each [N, T].
    """
    ids_NT = pad_sequence([i["input_ids"] for i in items], batch_first=True, padding_value=pad_token)
    labels_NT = pad_sequence([i["labels"] for i in items], batch_first=True, padding_value=IGNORED)
    mask_NT = pad_sequence([torch.ones_like(i["input_ids"]) for i in items], batch_first=True)
    return {"input_ids": ids_NT, "labels": labels_NT, "attention_mask": mask_NT}


def token_losses(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute -log p of every target token given the tokens before it.

    Args:
        model: A Hugging Face causal language model.
        batch: From `collate_causal`.

    Returns:
        losses_NT (zero where there is no target) and counts_N of the targets. T is one less than
        the batch's, as nothing predicts a first token.
    """
    return _losses(next_token_logits(model, batch), batch)


def next_token_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the logits [N, T, V] that predict tokens 1, 2, … of each row."""
    output: Any = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
    logits_NTV: Tensor = output.logits[:, :-1]
    return logits_NTV


def _losses(logits_NTV: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    labels_NT = batch["labels"][:, 1:]
    losses_NT = F.cross_entropy(
        logits_NTV.flatten(0, 1), labels_NT.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(labels_NT)
    return losses_NT, (labels_NT != IGNORED).sum(1)


def mean_hidden_state(model: nn.Module, batch: Batch) -> Tensor:
    """Make `Task.representation` of a Hugging Face model: the mean of the last hidden states over the tokens.

    Args:
        model: Takes `output_hidden_states`.
        batch: `input_ids` and `attention_mask`, [N, T].

    Returns:
        [N, D]. Padding counts for nothing.
    """
    mask_NT: Tensor = batch["attention_mask"]
    output: Any = model(input_ids=batch["input_ids"], attention_mask=mask_NT, output_hidden_states=True)
    states_NTD: Tensor = output.hidden_states[-1]
    weights_NT = mask_NT.to(states_NTD) / mask_NT.sum(1, keepdim=True)
    return torch.einsum("nt,ntd->nd", weights_NT, states_NTD)


def mean_token_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Compute each example's mean -log p over its target tokens: losses_N."""
    return _mean(*token_losses(model, batch))


def _mean(losses_NT: Tensor, counts_N: Tensor) -> Tensor:
    return losses_NT.sum(1) / counts_N


def _relabeled(batch: Batch, labels_NT: Tensor) -> Batch:
    """Other targets where there were targets. What the model reads stays."""
    old_NT = batch["labels"]
    new_NT = torch.cat([old_NT[:, :1], labels_NT], dim=1)
    return {**batch, "labels": torch.where(old_NT == IGNORED, old_NT, new_NT)}


TOKEN_OUTPUTS = Outputs(
    compute=next_token_logits,
    loss=lambda logits_NTV, batch: _mean(*_losses(logits_NTV, batch)),
    relabel=_relabeled,
)
"""Predictive distribution of a causal language model: logits and mean token loss."""


def likelihood(model: nn.Module, batch: Batch) -> Tensor:
    """Compute log p of each example's whole completion: the sum over its target tokens, [N]."""
    losses_NT, _ = token_losses(model, batch)
    return -losses_NT.sum(1)


def token_margin(model: nn.Module, batch: Batch) -> Tensor:
    """Compute log(p / (1 - p)) of the mean probability of a target token, [N].

    p = exp(-L) with the mean token loss L is the geometric mean, so the margin is -L - log(1 -
    exp(-L)).
    """
    loss_N = mean_token_loss(model, batch)
    loss_N = loss_N.clamp_min(torch.finfo(loss_N.dtype).tiny)  # p = 1 exactly has no margin
    return -loss_N - torch.log(-torch.expm1(-loss_N))
