"""Wire documents of the works behind a statement's line."""

from byline.api.documents import Document


class LineWork(Document):
    """A work behind an owner's score in an event."""

    example: str
    """Id of the training point."""
    score: int
    """Score summed over the members, as an integer: a score is its integer times 2^-scale."""
    label: str | None = None
    """Label of the training point. Like all metadata, it is null where the served version has no such point of the owner."""
    preview: str | None = None
    """Preview of the training point."""
    license: str | None = None
    """License of the training point."""
    uri: str | None = None
    """Location of the training point."""
    image: str | None = None
    """Path of the training point's thumbnail. Null without one."""


class LineEvent(Document):
    """An event that a run pays an owner for, with the works behind the owner's score."""

    event: str
    """Id of the event."""
    index: str
    """Name of the index."""
    version: str
    """Version of the index that answered."""
    booked_at: str
    """Time of booking in UTC."""
    weight: int
    """Weight of the event in the pool, relative to other events."""
    share: float
    """Share of the owner in the event, between 0 and 1."""
    amount: int
    """Part of the line that the event brought, in minor units, rounded down: earned amount and escrow before the floor."""
    score: int
    """Score of the owner summed over the members, as an integer."""
    scale: int
    """Binary scale of the scores: a score is its integer times 2^-scale."""
    works: list[LineWork]
    """Works of the owner with the largest absolute scores."""
    rest: int
    """Score of the owner's other works. Works and rest add up to `score`."""
