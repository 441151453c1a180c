"""Wire documents of scores that are told token by token, and their sums over spans of text."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from pydantic import Field

from byline.api.documents import Document
from byline.errors import InvalidQuery

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


class CopiedRun(Document):
    """A stretch of the query that stands word for word in the training text."""

    query_start: int = Field(ge=0)
    """Position of its first token in the query."""
    training_start: int = Field(ge=0)
    """Position of its first token in the training text."""
    length: int = Field(ge=1)
    """Number of tokens."""


class SpanScore(Document):
    """The part of a score that belongs to a span of the training text."""

    start: int = Field(ge=0)
    """First character of the span."""
    end: int = Field(ge=0)
    """Character after the last one."""
    score: float
    """Sum over the tokens that begin in the span."""


class TokenScores(Document):
    """A score taken apart twice: by the query's tokens, and by the training text's tokens. Each sum is the score.

    Of images the tokens are patches, and the score is their sum and the rest.
    """

    query_parts: tuple[float, ...]
    """Part of each token of the query, as listed in `query_tokens`. Tokens that are no target have no part."""
    training_parts: tuple[float, ...]
    """Part of each token of the training text: what training on that token did. The first token has no part unless the
    model predicts it."""
    grid: tuple[int, int] | None = None
    """Of images: rows and columns of the patches that both lists hold, row by row. Null for texts."""
    query_rest: float = 0.0
    """Of images: part of the score that lies in no patch of the query, such as that of a head behind a pooling."""
    training_rest: float = 0.0
    """Of images: part of the score that lies in no patch of the training image."""
    texts: tuple[str, ...] | None = None
    """Text of each token of the training text. Null for images, and if the training point shows no preview. In the service's
    answers, `…` is a run of tokens that the preview does not show, with the sum of their parts."""
    copied: tuple[CopiedRun, ...] = ()
    """Stretches that the query and the training text share word for word. Empty without `texts`."""
    copied_score: float | None = None
    """Part of the score at tokens of the training text that are copied. The rest was learned from other words. Null
    without `texts`."""
    paragraphs: tuple[SpanScore, ...] = ()
    """Parts of the training text, cut at blank lines. Empty without `texts`."""

    def by_span(self, spans: Sequence[tuple[int, int]]) -> tuple[SpanScore, ...]:
        """Add up the training tokens by spans of the training text, such as sentences or clauses.

        Args:
            spans: Pairs of the first character and the character after the last one. Tokens count where they begin.

        Returns:
            One score a span, in the order of the spans.

        Raises:
            InvalidQuery: The texts are not known.
        """
        if self.texts is None:
            raise InvalidQuery(
                "expected the texts of the training tokens, which this training point does not show, got None"
            )
        return span_scores(self.texts, self.training_parts, spans)


def span_scores(
    texts: Sequence[str], scores: Sequence[float], spans: Sequence[tuple[int, int]]
) -> tuple[SpanScore, ...]:
    """Add up tokens' scores by the spans of text that the tokens begin in.

    Args:
        texts: Text of each token.
        scores: Score of each token.
        spans: Pairs of the first character and the character after the last one.

    Returns:
        One score a span.
    """
    ends = list(accumulate(map(len, texts), initial=0))
    starts = [min(start, ends[-1] - 1) for start in ends[:-1]]  # a last token without text belongs to the end
    return tuple(
        SpanScore(
            start=start,
            end=end,
            score=sum(score for at, score in zip(starts, scores, strict=True) if start <= at < end),
        )
        for start, end in spans
    )


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Cut a text at blank lines: spans that cover all of it, each with the blank lines behind it."""
    ends = [found.end() for found in _BLANK_LINES.finditer(text)]
    return list(pairwise([0, *(end for end in ends if end < len(text)), len(text)]))
