"""Signed records of answers: the scores of all owners as integers, as an auditor checks them."""

from collections.abc import Mapping
from math import floor
from typing import Annotated, Literal, Self

from pydantic import Field

from byline.api.documents import Document, StoredDocument
from byline.api.terms import Asked, ErrorScope

MILLION = 1_000_000
Integer = Annotated[int, Field(strict=True)]
Owner = Annotated[str, Field(min_length=1)]


class Signature(StoredDocument):
    """A signature of the service."""

    algorithm: Literal["ed25519"] = "ed25519"
    """Algorithm of the signature."""
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Id of the key. `GET /v1/signing-keys` lists the public keys."""
    value: Annotated[str, Field(max_length=100)]
    """Signature in base64, over the line `byline receipt 1` and the canonical JSON of the receipt's content."""


class EventMember(StoredDocument):
    """A member of the ensemble that scored an event."""

    name: str
    """Name of the member in the index, such as `c0-m3`."""
    unit: Integer
    """Independent unit of the member. The jackknife averages the members of a unit first. The unit is the checkpoint if
    there are several, otherwise the adapter if there are several, otherwise the member."""


class QualityFigure(StoredDocument):
    """A figure of the quality card at the time of the answer, in millionths."""

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


class ReceiptContent(StoredDocument):
    """The part of an answer that a payment depends on."""

    id: str
    """Id of the answer, and of the event that is booked from it."""
    answered_at: str
    """Time of the answer in UTC."""
    index: str
    """Name of the index."""
    version: str
    """Version of the index that answered."""
    manifest: str
    """Digest of the version's manifest."""
    recipe_fingerprint: str
    """Fingerprint of everything that determines a stored vector."""
    target: str | None
    """Attributed target. Null for a gradient or a feature."""
    asked: Asked
    """Form of the question."""
    question: str
    """SHA-256 of the question. The question itself is not kept."""
    refine: Integer
    """Steps of `refine` that the question asked for."""
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
    works: Mapping[Owner, tuple[tuple[str, Integer], ...]]
    """Works of each owner with the largest absolute scores: pairs of the training point's id and its integer, summed over
    the members. The owner's other works have the rest of the owner's sum."""


class Receipt(StoredDocument):
    """The signed record of an answer. An event can be booked from it once."""

    content: ReceiptContent
    """Signed content."""
    signature: Signature
    """Signature of the content."""


class SigningKeyDocument(Document):
    """A public key that verifies signatures of the service."""

    id: str
    """Id of the key: the first 32 hexadecimal digits of the SHA-256 of its raw bytes."""
    algorithm: Literal["ed25519"] = "ed25519"
    """Algorithm of the key."""
    public_key: str
    """Public key as PEM."""
    current: bool
    """Whether the service signs with this key now. It accepts receipts of a former key that its settings name."""
