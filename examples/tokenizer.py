"""A tokenizer of bytes and their pairs, trained on the texts at hand."""

from collections.abc import Iterable
from typing import Any

END = "<|end|>"
"""The token that ends a text; it is token 0."""


def train_tokenizer(texts: Iterable[str], vocabulary: int, **options: str) -> Any:
    """Train one.

    Args:
        texts: Any.
        vocabulary: Number of tokens.
        **options: Of `PreTrainedTokenizerFast`, such as `bos_token`.

    Returns:
        A fast tokenizer of transformers.
    """
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[END], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, eos_token=END, **options)
