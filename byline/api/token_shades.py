"""Shades of tokens by their part of a score, for notebooks and terminals alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from byline.api.token_scores import TokenScores

LEVELS = 5
"""Shades on each side of zero."""
STRONGEST = 5
"""Tokens that are named with their number beside the shaded text."""


@dataclass(frozen=True, kw_only=True)
class Shade:
    """A token with its shade."""

    text: str
    """The token's text."""
    score: float
    """Its part of the score."""
    level: int
    """-5 to 5: the part relative to the largest one. 0 is no shade."""
    copied: bool = False
    """Whether it is in a stretch that query and training text share word for word."""


def shades(texts: Sequence[str], scores: Sequence[float], copied: Iterable[int] = ()) -> list[Shade]:
    """Shade tokens.

    Args:
        texts: Text of each token.
        scores: Part of each token.
        copied: Places of the copied tokens.

    Returns:
        One shade a token. Joined their texts are the text.
    """
    largest = max((abs(score) for score in scores), default=0.0) or 1.0
    marked = set(copied)
    return [
        Shade(text=text, score=score, level=round(LEVELS * score / largest), copied=place in marked)
        for place, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]


def strongest(shaded: Sequence[Shade]) -> list[Shade]:
    """Choose the tokens with the largest parts of either sign, the largest first."""
    told = [each for each in shaded if each.text.strip() and each.level]
    return sorted(told, key=lambda each: -abs(each.score))[:STRONGEST]


def query_shades(scores: TokenScores, texts: Sequence[str]) -> list[Shade]:
    """Shade the query's tokens by what each owes to one training point."""
    copied = (run.query_start + place for run in scores.copied for place in range(run.length))
    return shades(patch_names(scores.grid) or texts, scores.query_parts, copied)


def training_shades(scores: TokenScores) -> list[Shade] | None:
    """Shade a training point's tokens by what each did. None where the texts are not shown."""
    texts = patch_names(scores.grid) or scores.texts
    if texts is None:
        return None
    copied = (run.training_start + place for run in scores.copied for place in range(run.length))
    return shades(texts, scores.training_parts, copied)


def patch_names(grid: tuple[int, int] | None) -> list[str] | None:
    """Name the patches of an image by row and column, from 1. None for texts."""
    if grid is None:
        return None
    return [f"{row}:{column}" for row in range(1, grid[0] + 1) for column in range(1, grid[1] + 1)]


def rest_sentence(scores: TokenScores) -> str | None:
    """Say how much of an image's score lies in no patch. None for texts."""
    if scores.grid is None:
        return None
    return f"In no patch: {scores.query_rest:+.3g} of the query, {scores.training_rest:+.3g} of the training image."


def copied_sentence(scores: TokenScores, total: float) -> str | None:
    """Say how much of a score is at words that were copied. None where the query shares no stretch with the text."""
    if not scores.copied or scores.copied_score is None:
        return None
    return (
        f"Word for word in both: {scores.copied_score:+.3g} of {total:+.3g}. "
        f"Learned from other words: {total - scores.copied_score:+.3g}."
    )
