"""Losses and targets of causal language models, per example and blind to padding.

An item may hold another one, `rather_than`: its value is then its own minus the other's. "Why A rather than B" is the
loss of A minus the loss of B.

Shapes: N examples, T positions, V tokens of the vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from byline.task import Batch, Outputs
from byline.tasks.documents import IGNORED

Measure = Callable[[Tensor, Tensor], Tensor]
"""`(losses_NT, counts_N) -> values_N`: of -log p of the target tokens, zero elsewhere, and their number."""
CONTRAST = "rather_than"
"""Key of the item, or batch, that a value is compared with."""
WEIGHTS = "rather_than_weights"
"""Key of a batch's [N]: 1 where an item is compared with another one, and 0 elsewhere."""


def collate_causal(items: Sequence[Mapping[str, Any]], pad_token: int) -> dict[str, Any]:
    """Pad rows on the right. Positions and the tokens before stay what they are.

    Args:
        items: `{"input_ids": [T], "labels": [T]}` each, of any lengths. `rather_than` holds another such item.
        pad_token: Fills `input_ids`, never attended to, never a target.

    Returns:
        `input_ids`, `labels` and `attention_mask`, each [N, T]. If an item is compared with another one, also
        `rather_than`, a batch of these, and `rather_than_weights` [N].
    """
    ids_NT = pad_sequence([i["input_ids"] for i in items], batch_first=True, padding_value=pad_token)
    labels_NT = pad_sequence([i["labels"] for i in items], batch_first=True, padding_value=IGNORED)
    mask_NT = pad_sequence([torch.ones_like(i["input_ids"]) for i in items], batch_first=True)
    batch: dict[str, Any] = {"input_ids": ids_NT, "labels": labels_NT, "attention_mask": mask_NT}
    if any(CONTRAST in item for item in items):
        batch[CONTRAST] = collate_causal([item.get(CONTRAST, item) for item in items], pad_token)
        batch[WEIGHTS] = torch.tensor([float(CONTRAST in item) for item in items])
    return batch


def token_losses(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute -log p of every target token given the tokens before it.

    Args:
        model: A Hugging Face causal language model.
        batch: From `collate_causal`.

    Returns:
        losses_NT (zero where there is no target) and counts_N of the targets. T is one less than
        the batch's, as nothing predicts a first token.
    """
    labels_NT = functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED)
    # All positions as they come: without the last one's, which predicts nothing, the logits would be copied.
    losses_NT = functional.cross_entropy(
        _logits(model, batch).flatten(0, 1), labels_NT.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(labels_NT)[:, :-1]
    return losses_NT, _counts(batch)


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    output: Any = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
    logits_NTV: Tensor = output.logits
    return logits_NTV


def next_token_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Compute the logits [N, T, V] that predict tokens 1, 2, … of each row."""
    return _logits(model, batch)[:, :-1]


def _losses(logits_NTV: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    labels_NT = batch["labels"][:, 1:]
    losses_NT = functional.cross_entropy(
        logits_NTV.flatten(0, 1), labels_NT.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(labels_NT)
    return losses_NT, _counts(batch)


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
    return _compared(model, batch, _mean)


def _mean(losses_NT: Tensor, counts_N: Tensor) -> Tensor:
    return losses_NT.sum(1) / counts_N


def _compared(model: nn.Module, batch: Batch, measure: Measure) -> Tensor:
    """Measure each example, minus what it is compared with."""
    values_N = measure(*token_losses(model, batch))
    if CONTRAST not in batch:
        return values_N
    weights_N: Tensor = batch[WEIGHTS].to(values_N)
    return values_N - weights_N * measure(*token_losses(model, batch[CONTRAST]))


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
    return _compared(model, batch, _log_probability)


def _log_probability(losses_NT: Tensor, counts_N: Tensor) -> Tensor:
    del counts_N
    return -losses_NT.sum(1)


def token_margin(model: nn.Module, batch: Batch) -> Tensor:
    """Compute log(p / (1 - p)) of the mean probability of a target token, [N].

    p = exp(-L) with the mean token loss L is the geometric mean, so the margin is -L - log(1 -
    exp(-L)).
    """
    return _compared(model, batch, _margin)


def _margin(losses_NT: Tensor, counts_N: Tensor) -> Tensor:
    loss_N = _mean(losses_NT, counts_N)
    loss_N = loss_N.clamp_min(torch.finfo(loss_N.dtype).tiny)  # p = 1 exactly has no margin
    return -loss_N - torch.log(-torch.expm1(-loss_N))


def position_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Make `Positions.losses`: -log p at the place of each token, zero at tokens that are no target.

    Returns:
        [N, T], T as wide as the batch. What an example is compared with follows behind.
    """
    losses_NT = functional.pad(token_losses(model, batch)[0], (1, 0))
    if CONTRAST not in batch:
        return losses_NT
    return torch.cat([losses_NT, position_losses(model, batch[CONTRAST])], dim=1)


def _of_positions(measure: Measure, losses_NT: Tensor, batch: Batch) -> Tensor:
    width = batch["labels"].shape[1]
    own_NT, other_NT = losses_NT[:, :width], losses_NT[:, width:]
    values_N = measure(own_NT, _counts(batch))
    if CONTRAST not in batch:
        return values_N
    weights_N: Tensor = batch[WEIGHTS].to(values_N)
    return values_N - weights_N * measure(other_NT, _counts(batch[CONTRAST]))


def _counts(batch: Batch) -> Tensor:
    counts_N: Tensor = (batch["labels"][:, 1:] != IGNORED).sum(1)
    return counts_N


POSITION_VALUES = {
    "loss": partial(_of_positions, _mean),
    "margin": partial(_of_positions, _margin),
    "likelihood": partial(_of_positions, _log_probability),
}
"""`Positions.values` of a causal language model."""
