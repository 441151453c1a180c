"""An event: one attributed generation, with everything that its payment depends on.

Letters: M members, U independent units of the ensemble.
"""

from collections.abc import Mapping
from math import floor
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from byline.api.compensation import EventMember, Integer
from byline.api.terms import ErrorScope
from byline.index.canonical_json import canonical_digest, canonical_json
from byline_service.compensation.timestamps import MomentText

MILLION = 1_000_000
Owner = Annotated[str, Field(min_length=1)]


class Stored(BaseModel):
    """A document that is stored and hashed: no floats, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def document(self) -> dict[str, Any]:
        """Plain values, for canonical JSON."""
        return self.model_dump(mode="json")

    def canonical(self) -> bytes:
        """The document's canonical JSON."""
        return canonical_json(self.document())

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical document."""
        return canonical_digest(self.document())


class QualityFigure(Stored):
    """One figure of the quality card at the time of the event, in millionths."""

    metric: str
    """`lds`."""
    target: str | None
    """What was attributed when it was measured."""
    value: Integer
    """The figure."""
    low: Integer | None
    """Lower end of its 95 % interval; null where none is known."""

    @classmethod
    def of(cls, metric: str, target: str | None, value: float, low: float | None) -> Self:
        """Round a card's figure down to millionths."""
        return cls(
            metric=metric,
            target=target,
            value=floor(value * MILLION),
            low=None if low is None else floor(low * MILLION),
        )


class Event(Stored):
    """One attributed generation."""

    id: str
    """Given by the service."""
    booked_at: MomentText
    """UTC, as `2026-01-31T12:00:00.000000Z`; periods go by it."""
    reference: str | None = None
    """The client's own name for the generation."""
    weight: Annotated[int, Field(strict=True, ge=1, le=10**9)] = 1
    """How much of the pool it draws, relative to other events."""
    index: str
    """Name of the index."""
    version: str
    """Version that answered."""
    manifest: str
    """Digest of its manifest."""
    recipe_fingerprint: str
    """Everything that determines a stored vector."""
    target: str | None
    """What was attributed; null for a gradient or a feature."""
    error_scope: ErrorScope | None
    """What the spread between members covers."""
    searched: Integer
    """Training points that belong to an owner."""
    total: Integer
    """Training points of the index."""
    quality: QualityFigure | None
    """What was measured about the version."""
    members: tuple[EventMember, ...]
    """[M], in the order of the scores."""
    scale: Integer
    """A score is its integer times 2^-scale."""
    scores: Mapping[Owner, tuple[Integer, ...]]
    """Each owner's integers [M]: the signed sum over all of the owner's rows."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.members or any(len(each) != len(self.members) for each in self.scores.values()):
            raise ValueError("expected one integer a member for every owner")
        return self

    @property
    def units(self) -> int:
        """Independent units behind the standard errors."""
        return len({member.unit for member in self.members})

    @property
    def complete(self) -> bool:
        """Whether every training point takes part."""
        return self.searched == self.total
