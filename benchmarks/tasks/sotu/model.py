"""The protocol: tokens, the network, how it is trained, and on which halves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from byline.task import TrainSet
from byline.tasks.token_objectives import collate_causal, mean_token_loss

END = "<|end|>"


@dataclass(frozen=True)
class Protocol:
    """Everything that the truth depends on."""

    name: str = "sotu"
    presidents: int = 12
    characters: int = 2000
    """Length of each training speech, from its beginning."""
    query_characters: int = 2300
    queries: int = 60
    """Reported queries; as many others serve for tuning."""
    vocabulary: int = 1000
    context: int = 64
    width: int = 48
    layers: int = 2
    heads: int = 3
    dropout: float = 0.1
    epochs: int = 16
    batch: int = 16
    learning_rate: float = 3e-3
    initial_spread: float = 0.1
    """Standard deviation of initial weights: GPT-2's own 0.02 lingers on a plateau at this width."""
    subsets: int = 60
    seeds: int = 2
    models: int = 5


FULL = Protocol()
SMOKE = Protocol(
    name="sotu-smoke", presidents=4, characters=500, query_characters=400, queries=6, vocabulary=300,
    context=16, width=12, layers=1, heads=2, epochs=2, subsets=6, models=2,
)  # fmt: skip


def write_folder(folder: Path, texts: Sequence[str], protocol: Protocol) -> None:
    """Train the tokenizer on the training speeches, and write it beside the model's configuration."""
    tokenizer = ByteLevelBPETokenizer(add_prefix_space=False)
    tokenizer.train_from_iterator(
        texts, vocab_size=protocol.vocabulary, special_tokens=[END], show_progress=False
    )
    inner = tokenizer._tokenizer
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=END).save_pretrained(folder)
    GPT2Config(
        vocab_size=protocol.vocabulary,
        n_positions=protocol.context,
        n_embd=protocol.width,
        n_layer=protocol.layers,
        initializer_range=protocol.initial_spread,
        n_head=protocol.heads,
        resid_pdrop=protocol.dropout,
        embd_pdrop=protocol.dropout,
        attn_pdrop=protocol.dropout,
        activation_function="gelu_pytorch_tanh",
        bos_token_id=0,
        eos_token_id=0,
    ).save_pretrained(folder)


def train(
    folder: Path, items: TrainSet, rows: Sequence[int], seed: int, protocol: Protocol
) -> dict[str, Tensor]:
    """Train on some rows: AdamW, a linear decay to zero, gradients clipped at 1.

    Initial weights, order and dropout follow from `seed`, and the order of two rows does not depend on which others
    are trained on: models of one seed differ by their rows alone as far as that can be.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _network(folder).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=protocol.learning_rate, weight_decay=0.01)
        steps = protocol.epochs * -(-len(rows) // protocol.batch)
        decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _ in range(protocol.epochs):
            order = torch.rand(len(items))[torch.tensor(rows)].argsort()
            for places in order.split(protocol.batch):
                batch = collate_causal([items[rows[place]] for place in places.tolist()], pad_token=0)
                loss = mean_token_loss(model, batch).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                decay.step()
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def minus_losses(folder: Path, weights: dict[str, Tensor], items: TrainSet) -> np.ndarray:
    """Compute minus the mean token loss of every item."""
    model = _network(folder).eval()
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    with torch.no_grad():
        batches = torch.arange(len(items)).split(32)
        losses = [
            mean_token_loss(model, collate_causal([items[row] for row in rows.tolist()], pad_token=0))
            for rows in batches
        ]
    return -torch.cat(losses).numpy()


def _network(folder: Path) -> nn.Module:
    config: Any = GPT2Config.from_pretrained(folder)
    return GPT2LMHeadModel._from_config(config, attn_implementation="eager")
