"""Wire documents of rosters: the recorded owners of index versions."""

from byline.api.documents import Document


class RosterDocument(Document):
    """The owners of an index version, as the ledger has them."""

    index: str
    """Name of the index."""
    version: str
    """Version of the index."""
    manifest: str
    """Digest of the version's manifest."""
    recorded_by: str
    """Person who recorded the owners."""
    recorded_at: str
    """Time of the record in UTC."""
    owners: int
    """Number of owners."""
    rows: int
    """Number of their rows."""
