"""The protocol: sizes, and how models are pretrained and fine-tuned. Everything that the truth depends on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END = "<|end|>"


@dataclass(frozen=True)
class Protocol:
    """A case."""

    name: str = "finetuning"
    first_year: int = 1913
    """Owners are the presidents from this year on; earlier messages are for pretraining."""
    owners: int = 18
    chunks: int = 36
    """Chunks of each owner."""
    queries: int = 150
    """Reported queries, from other speeches of the same owners."""
    tuning: int = 90
    """Further queries, by which dampings and sizes are chosen."""
    vocabulary: int = 2000
    context: int = 64
    width: int = 96
    layers: int = 2
    heads: int = 4
    pretraining_chunks: int = 4000
    pretraining_epochs: int = 3
    pretraining_rate: float = 2e-3
    epochs: int = 3
    batch: int = 16
    learning_rate: float = 1e-3
    bases: int = 3
    """Models that are pretrained, fine-tuned and attributed, each with a truth of its own."""
    orders: int = 2
    """Seeds of the order of training points, common to all subsets."""
    halves: int = 60
    removals: int = 40
    """Random subsets that lack 5 % of the points."""
    along: tuple[float, ...] = (0.08, 0.65, 1.0)
    """Parts of the fine-tuning after which its checkpoints are taken."""


FULL = Protocol()
SMOKE = Protocol(
    name="finetuning-smoke", owners=4, chunks=6, queries=6, tuning=4, vocabulary=300, context=16, width=12, layers=1,
    heads=2, pretraining_chunks=20, pretraining_epochs=1, batch=4, bases=2, orders=2, halves=6, removals=6,
)  # fmt: skip


def write_folder(folder: Path, texts: list[str], protocol: Protocol) -> None:
    """Train the tokenizer on texts of both kinds, and write it beside the model's configuration."""
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
        n_head=protocol.heads,
        initializer_range=0.05,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",
        bos_token_id=0,
        eos_token_id=0,
    ).save_pretrained(folder)


def network(folder: Path) -> nn.Module:
    """Build the network of a folder's configuration."""
    config: Any = GPT2Config.from_pretrained(folder)
    return GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")
