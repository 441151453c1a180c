"""Stretches of tokens that two texts share word for word: what was copied, beside what was learned."""

from collections.abc import Sequence

from byline.api.token_scores import CopiedRun

SHORTEST = 4
"""Tokens of a run that is told. Shorter ones are in any two texts."""


def copied_runs(query: Sequence[str], training: Sequence[str], shortest: int = SHORTEST) -> list[CopiedRun]:
    """Find the longest runs of equal tokens, each token of the training text in one run at most.

    Args:
        query: Texts of the query's tokens.
        training: Texts of the training text's tokens.
        shortest: Tokens that a run has at least.

    Returns:
        The runs, by their place in the training text. No run can be made longer at either end, unless a run before it
        has the tokens.
    """
    places: dict[tuple[str, ...], list[int]] = {}
    for start in range(len(query) - shortest + 1):
        places.setdefault(tuple(query[start : start + shortest]), []).append(start)
    runs: list[CopiedRun] = []
    at = 0
    while at <= len(training) - shortest:
        starts = places.get(tuple(training[at : at + shortest]), [])
        lengths = {start: _length(query[start:], training[at:]) for start in starts}
        if not lengths or not "".join(training[at : at + shortest]).strip():
            at += 1
            continue
        best = max(lengths, key=lambda start: lengths[start])
        runs.append(CopiedRun(query_start=best, training_start=at, length=lengths[best]))
        at += lengths[best]
    return runs


def _length(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the equal tokens at the beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
