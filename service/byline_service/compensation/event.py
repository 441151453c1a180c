"""Events: attributed generations, with everything that their payment depends on.

Letters: M members, U independent units of the ensemble.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from byline.api.receipts import ReceiptContent, Signature
from byline.index.canonical_json import canonical_digest, canonical_json
from byline_service.compensation.timestamps import TimestampText

_SIGNED = set(ReceiptContent.model_fields)


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


class Event(ReceiptContent, Stored):
    """An attributed generation: the content of a signed receipt, and its booking."""

    answered_at: TimestampText
    """Time of the answer in UTC, as `2026-01-31T12:00:00.000000Z`."""
    booked_at: TimestampText
    """Time of booking in UTC. It decides the period."""
    reference: str | None = None
    """Client's own name for the generation."""
    weight: Annotated[int, Field(strict=True, ge=1, le=10**9)] = 1
    """Part of the pool, relative to other events."""
    signature: Signature
    """Signature of the receipt."""

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


def signed_bytes(content: ReceiptContent) -> bytes:
    """Return the bytes that a receipt's signature covers. Of an event, those of its receipt.

    Args:
        content: The content of a receipt, or an event.
    """
    return b"byline receipt 1\n" + canonical_json(content.model_dump(mode="json", include=_SIGNED))
