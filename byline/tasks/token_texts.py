"""Tokens and their text: the text of each token of an item, and the tokens of a stretch of text."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from byline.errors import InvalidQuery
from byline.tasks.payloads import CausalTextQuery
from byline.tasks.token_objectives import CONTRAST

Decode = Callable[[Sequence[int]], str]
"""`tokens -> text`, without special tokens."""
_UNFINISHED = "\ufffd"
"""End of a text whose last character needs further tokens."""


def token_texts(decode: Decode, tokens: Sequence[int]) -> list[str]:
    """Cut a text into the text of each token.

    A token is decoded behind the ones before it, as some tokenizers drop the space before a first word. A character of
    several tokens goes with its last one.

    Args:
        decode: The tokenizer's.
        tokens: Of one text.

    Returns:
        One text a token. Joined they are the text.
    """
    texts: list[str] = []
    first = done = 0  # tokens [first:done] were written, and are context for those behind
    for place in range(len(tokens)):
        before, now = decode(tokens[first:done]), decode(tokens[first : place + 1])
        if now.endswith(_UNFINISHED) and place + 1 < len(tokens):
            texts.append("")
            continue
        texts.append(now[len(before) :])
        first, done = done, place + 1
    return texts


def item_texts(decode: Decode, item: Mapping[str, Any]) -> list[str]:
    """Make `Positions.texts` of a causal language model: what an item is compared with follows behind."""
    texts = token_texts(decode, item["input_ids"].tolist())
    return texts + item_texts(decode, item[CONTRAST]) if CONTRAST in item else texts


def token_places(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Find the first character of each token in the joined text, and the one after its last.

    Args:
        texts: From `token_texts`.
    """
    ends = list(accumulate(map(len, texts)))
    return list(zip([0, *ends], ends, strict=False))


def target_tokens(query: CausalTextQuery, places: Sequence[tuple[int, int]]) -> range:
    """Find the tokens of a completion that a query attributes.

    Args:
        query: With a completion.
        places: First character of each of its tokens, and the character after the last one.

    Returns:
        The tokens, at least one.

    Raises:
        InvalidQuery: The query names other tokens than the completion has, or words that are not in it.
    """
    if query.target_text is not None:
        return _of_words(query.completion or "", query.target_text, places)
    start, stop = query.target_tokens or (0, len(places))
    if not 0 <= start < stop <= len(places):
        raise InvalidQuery(
            f"expected target_tokens to be the first of the completion's {len(places)} tokens and the one after the "
            f"last, such as [0, {len(places)}], got another pair"
        )
    return range(start, stop)


def _of_words(completion: str, words: str, places: Sequence[tuple[int, int]]) -> range:
    first = completion.find(words)
    if first < 0:
        raise InvalidQuery("expected target_text to be a part of the completion, got other text")
    last = first + len(words)
    inside = [t for t, (start, end) in enumerate(places) if start < last and end > first]
    if not inside:
        raise InvalidQuery(
            "expected target_text to cover a token of the completion, got one that covers none"
        )
    return range(inside[0], inside[-1] + 1)
