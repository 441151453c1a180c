"""Works without consent are not listed in answers. The index still has them until it is built anew."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.example import Example
from byline.errors import DatabaseUnavailable
from byline_service.compensation.restrictions import Restriction
from byline_service.compensation.timestamps import timestamp_text
from byline_service.database import Database
from byline_service.ledger import consent_queries, journal_queries

FRESH_SECONDS = 5.0
"""Seconds for which the consents of an index are kept in memory."""


@dataclass(frozen=True)
class WithheldWorks:
    """Works of one version that are not listed now."""

    owners: frozenset[str] = frozenset()
    """Owners whose works are all withheld."""
    works: frozenset[str] = frozenset()
    """Ids of single works."""

    def hides(self, example: Example) -> bool:
        """Return whether a training point is withheld."""
        return example.owner in self.owners or example.id in self.works

    def hidden(self, answer: Answer) -> Answer:
        """Take withheld training points out of an answer, and tell their number in its coverage.

        Args:
            answer: The answer. Ranks and scores of the others stay.
        """
        if not (self.owners or self.works):
            return answer
        proponents, opponents = self._shown(answer.proponents), self._shown(answer.opponents)
        gone = _count(answer.proponents, answer.opponents) - _count(proponents, opponents)
        if not gone:
            return answer
        coverage = answer.coverage.model_copy(update={"withheld": gone})
        return answer.model_copy(
            update={"proponents": proponents, "opponents": opponents, "coverage": coverage}
        )

    def _shown(self, points: tuple[Attribution, ...] | None) -> tuple[Attribution, ...] | None:
        return None if points is None else tuple(each for each in points if not self.hides(each.example))


def withheld_now(restrictions: Sequence[Restriction], version: str, now: str) -> WithheldWorks:
    """Return the works that are withheld at a time.

    Args:
        restrictions: Missing consents of one index.
        version: Version of the index.
        now: The time.
    """
    covering = [each for each in restrictions if each.covers(each.subject.index or "", version, now)]
    return WithheldWorks(
        owners=frozenset(each.subject.owner for each in covering if each.subject.work is None),
        works=frozenset(each.subject.work for each in covering if each.subject.work is not None),
    )


@dataclass
class ConsentCache:
    """The missing consents of each index, read anew every few seconds. Without a database, the last ones hold."""

    database: Database
    clock: Callable[[], float] = time.monotonic
    kept: dict[str, tuple[float, list[Restriction]]] = field(default_factory=dict)
    """Index -> time of the last attempt, and the restrictions."""

    async def withheld(self, index: str, version: str) -> WithheldWorks:
        """Return the works of a version that are withheld now.

        Raises:
            DatabaseUnavailable: The consents of the index were never read, and the database does not answer.
        """
        read_at, known = self.kept.get(index, (None, []))
        if read_at is None or self.clock() - read_at > FRESH_SECONDS:
            try:
                known = await self._read(index)
            except DatabaseUnavailable:
                if read_at is None:
                    raise
            self.kept[index] = self.clock(), known
        return withheld_now(known, version, timestamp_text(datetime.now(UTC)))

    async def _read(self, index: str) -> list[Restriction]:
        async with self.database.read() as reading:
            basis = await journal_queries.last_sequence(reading)
            return await consent_queries.restrictions(reading, basis, index)


def _count(*ends: tuple[Attribution, ...] | None) -> int:
    return sum(len(points) for points in ends if points is not None)
