"""A tiny Llama with drawn weights, which stands in for the pretrained one where seconds count."""

from pathlib import Path
from typing import Any

import torch

from examples.tokenizer import END, train_tokenizer

TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
"""A chat: each turn after its role."""


def drawn(folder: Path, data: Path) -> Path:
    """Save the model and its tokenizer as `save_pretrained` does.

    Args:
        folder: Kept where it is there.
        data: Text that the tokenizer is trained on.

    Returns:
        The folder.
    """
    if not folder.is_dir():
        tokenizer = train_tokenizer(
            data.read_text(encoding="utf-8").splitlines(), 512, bos_token=END, pad_token=END
        )
        tokenizer.chat_template = TEMPLATE
        llama(len(tokenizer), width=32, layers=2).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def llama(vocabulary: int, *, width: int, layers: int, context: int = 256) -> Any:
    """Draw a Llama of transformers.

    Args:
        vocabulary: Number of tokens.
        width: Size of a hidden state; a multiple of 32. Heads have 32 numbers.
        layers: Number of blocks.
        context: Most tokens.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                intermediate_size=3 * width,
                num_hidden_layers=layers,
                num_attention_heads=width // 32,
                num_key_value_heads=1,
                max_position_embeddings=context,
                tie_word_embeddings=True,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
            )
        )
