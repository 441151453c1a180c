"""Stretches of tokens that two texts share word for word: what was copied, beside what was learned.

Letters: Q tokens of the query, T tokens of the training text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
        has the tokens. The time grows with Q T, however often the tokens repeat.
    """
    starts_T, lengths_T = _longest(query, training)
    runs: list[CopiedRun] = []
    at = 0
    while at <= len(training) - shortest:
        length = lengths_T[at]
        if length < shortest or not any(map(str.strip, training[at : at + shortest])):
            at += 1
            continue
        runs.append(CopiedRun(query_start=starts_T[at], training_start=at, length=length))
        at += length
    return runs


def _longest(query: Sequence[str], training: Sequence[str]) -> tuple[list[int], list[int]]:
    """Find the longest run that begins at each token of the training text: its first place in the query, its length."""
    number_of = {text: number for number, text in enumerate(dict.fromkeys(query))}
    query_Q = np.array([number_of[text] for text in query], dtype=np.int64)
    starts_T, lengths_T = [0] * len(training), [0] * len(training)
    behind_Q: NDArray[np.int64] = np.zeros(
        len(query) + 1, dtype=np.int64
    )  # runs that begin at the next token
    for at in reversed(range(len(training))):
        number = number_of.get(training[at])
        if number is None:
            behind_Q[:] = 0
            continue
        behind_Q[:-1] = (behind_Q[1:] + 1) * (query_Q == number)
        starts_T[at] = int(behind_Q.argmax())
        lengths_T[at] = int(behind_Q[starts_T[at]])
    return starts_T, lengths_T
