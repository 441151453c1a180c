"""Events: attributed generations, with everything that their payment depends on.

Letters: M members, U independent units of the ensemble.
"""

from collections.abc import Mapping
from math import floor
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from byline.api.compensation import EventMember, Integer
from byline.api.terms import Asked, ErrorScope
from byline.index.canonical_json import canonical_digest, canonical_json
from byline_service.compensation.timestamps import TimestampText

MILLION = 1_000_000
Owner = Annotated[str, Field(min_length=1)]


class Stored(BaseModel):
    """A document that is stored and hashed: no floats, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def document(self) -> dict[str, Any]:
        """Return plain values for canonical JSON."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """Return the canonical JSON of the document."""
        return canonical_json(self.document())

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the canonical document."""
        return canonical_digest(self.document())


class QualityFigure(Stored):
    """A figure of the quality card at the time of the event, in millionths."""

    metric: str
    """Metric of the figure: `lds`."""
    target: str | None
    """Target that was measured."""
    value: Integer
    """Value of the figure."""
    low: Integer | None
    """Lower end of the 95 % interval. Null if unknown."""

    @classmethod
    def of(cls, metric: str, target: str | None, value: float, low: float | None) -> Self:
        """Round a figure of a quality card down to millionths."""
        return cls(
            metric=metric,
            target=target,
            value=floor(value * MILLION),
            low=None if low is None else floor(low * MILLION),
        )


class Event(Stored):
    """An attributed generation."""

    id: str
    """Id from the service."""
    booked_at: TimestampText
    """Time of booking in UTC, as `2026-01-31T12:00:00.000000Z`. It decides the period."""
    reference: str | None = None
    """Client's own name for the generation."""
    weight: Annotated[int, Field(strict=True, ge=1, le=10**9)] = 1
    """Part of the pool, relative to other events."""
    index: str
    """Name of the index."""
    version: str
    """Version of the index that answered."""
    manifest: str
    """Digest of the version's manifest."""
    recipe_fingerprint: str
    """Fingerprint of everything that determines a stored vector."""
    target: str | None
    """Target that was attributed. Null for a gradient or a feature."""
    asked: Asked
    """Form of the question."""
    error_scope: ErrorScope | None
    """Variance that the spread between members covers."""
    searched: Integer
    """Number of training points with an owner."""
    total: Integer
    """Number of training points of the index."""
    quality: QualityFigure | None
    """Figures of the version's quality card."""
    members: tuple[EventMember, ...]
    """Members of the ensemble [M], in the order of the scores."""
    scale: Integer
    """Binary exponent of the scores: a score is its integer times 2^-scale."""
    scores: Mapping[Owner, tuple[Integer, ...]]
    """Integers [M] of each owner: the signed sum over all of the owner's rows."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.members or any(len(each) != len(self.members) for each in self.scores.values()):
            raise ValueError("expected one integer per member for every owner")
        return self

    @property
    def units(self) -> int:
        """Return the number of independent units behind the standard errors."""
        return len({member.unit for member in self.members})

    @property
    def complete(self) -> bool:
        """Return whether every training point has an owner."""
        return self.searched == self.total
