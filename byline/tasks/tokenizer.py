"""Tokenizers of transformers: texts to tokens with their places, chats by the template, and back."""

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from byline.errors import InputTooLarge, InvalidQuery, InvalidTask
from byline.tasks.chats import ChatTemplate
from byline.tasks.library import transformers


class Tokens:
    """A tokenizer: texts to tokens with their places, and back."""

    def __init__(self, source: Path | Any, *, start_token: bool = False) -> None:
        """Load it, or take a copy of it.

        Args:
            source: A folder with the tokenizer's files, or the tokenizer itself.
            start_token: Begin every text with its start token.

        Raises:
            InvalidTask: There is no fast tokenizer, or it has no start token.
        """
        self._tokenizer: Any = _loaded(source) if isinstance(source, str | Path) else copy.deepcopy(source)
        if not getattr(self._tokenizer, "is_fast", False):
            raise InvalidTask(
                "expected a fast tokenizer (tokenizer.json), which knows where each token was cut"
            )
        self._tokenizer.model_max_length = 10**9  # lengths are checked here, with an error and no warning
        self.end: int | None = self._tokenizer.eos_token_id
        self.pad: int = next((t for t in (self._tokenizer.pad_token_id, self.end) if t is not None), 0)
        start = self._tokenizer.bos_token_id
        if start_token and start is None:
            raise InvalidTask("expected a tokenizer with a start token (bos_token), got one without")
        self.head: tuple[int, ...] = (start,) if start_token else ()

    @cached_property
    def chat(self) -> ChatTemplate:
        """The chat template.

        Raises:
            InvalidTask: There is none.
        """
        return ChatTemplate(self._tokenizer)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the tokens of a text or chat."""
        parts = (self._tokenizer.backend_tokenizer.to_str(), self._tokenizer.chat_template, self.head)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def has_chat(self) -> bool:
        """Tell whether there is a chat template."""
        return isinstance(self._tokenizer.chat_template, str)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode a text, without special tokens.

        Args:
            text: Any.

        Returns:
            Tokens, and the first character of each with the one after its last.
        """
        (encoding,) = self.encode_all([text])
        return encoding.ids, encoding.offsets

    def encode_all(self, texts: Sequence[str]) -> Sequence[Any]:
        """Encode several texts together, which is faster. See `encode`.

        Args:
            texts: In any order.

        Returns:
            An `Encoding` of the library tokenizers for each, with `ids` and `token_to_chars(place)`.
        """
        backend = self._tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        encodings: list[Any] = backend.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def with_special(self, text: str, limit: int | None = None) -> list[int]:
        """Encode with the special tokens that the tokenizer puts around a text.

        Args:
            text: Any.
            limit: Most tokens to keep. None keeps all.

        Returns:
            Tokens.
        """
        encoding = self._tokenizer(text, truncation=limit is not None, max_length=limit)
        tokens: list[int] = encoding["input_ids"]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, without special tokens."""
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _loaded(folder: Path | str) -> Any:
    wanted = f"expected a tokenizer in {folder}"
    way_out = "copy the tokenizer of the training, with tokenizer.save_pretrained(FOLDER)"
    try:
        found = transformers().AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the library tokenizers raises Exception itself
        raise InvalidTask(
            f"{wanted}, found none that can be read ({type(error).__name__}): {way_out}"
        ) from error
    if not found.vocab_size:  # transformers makes an empty one where there are no files
        raise InvalidTask(f"{wanted}, found none: {way_out}")
    return found


def require_fit(name: str, tokens: int, limit: int) -> None:
    """Refuse a query without tokens, or with more than the model can see.

    Raises:
        InvalidQuery: There is no token.
        InputTooLarge: There are more than the limit.
    """
    if tokens == 0:
        raise InvalidQuery(f"expected {name} of at least one token, got none")
    if tokens > limit:
        raise InputTooLarge(f"expected {name} of at most {limit} tokens, got {tokens}: shorten it")


def beyond_embedding(tokens: Sequence[int], size: int | None) -> str | None:
    """Find token ids that a model's embedding has no row of.

    Args:
        tokens: Ids.
        size: Rows of the embedding. None is not known.

    Returns:
        What was expected and what came. None where nothing is wrong.
    """
    largest = max(tokens, default=0)
    if size is None or largest < size:
        return None
    return f"expected token ids below {size}, the rows of the model's embedding, got {largest}"


REPAIR_EMBEDDING = (
    "pass the tokenizer of the training, or the model whose embedding was resized for it "
    "(model.resize_token_embeddings(len(tokenizer)))"
)
"""Way out of token ids that are too large."""
