"""Texts of the case: written messages for pretraining, later addresses by owners for fine-tuning, and queries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.tasks import CACHE
from benchmarks.tasks.finetuning.protocol import SMOKE, Protocol
from benchmarks.tasks.sotu.speeches import Speech, made_up_speeches, real_speeches

SKIPPED = 400
"""Characters at the beginning of an address that are left out: salutations that all owners share."""


@dataclass(frozen=True)
class Texts:
    """The three parts. No speech is in two of them."""

    pretraining: list[Speech]
    train: list[Speech]
    queries: list[Speech]


def texts(protocol: Protocol) -> Texts:
    """Split the speeches: of each owner every third is for queries, the others are trained on.

    Args:
        protocol: First year and number of owners.

    Returns:
        The parts, in the order of years.
    """
    if protocol.name == SMOKE.name:
        speeches = made_up_speeches()
        return Texts(
            speeches, [s for s in speeches if s.year != 1901], [s for s in speeches if s.year == 1901]
        )
    speeches = real_speeches(CACHE / "sotu-speeches")
    recent = [replace(s, text=s.text[SKIPPED:]) for s in speeches if s.year >= protocol.first_year]
    by_owner: dict[str, list[Speech]] = {}
    for speech in recent:
        by_owner.setdefault(speech.president, []).append(speech)
    chosen = [given for given in by_owner.values() if len(given) > 1][: protocol.owners]
    return Texts(
        pretraining=[s for s in speeches if s.year < protocol.first_year],
        train=[s for given in chosen for s in _others(given)],
        queries=[s for given in chosen for s in given[1::3]],
    )


def _others(given: Sequence[Speech]) -> list[Speech]:
    return [speech for place, speech in enumerate(given) if place % 3 != 1]
