"""Wire documents of rights tables: the parties that share in an owner's amounts."""

from typing import Annotated, Literal

from pydantic import Field

from byline.api.documents import Body, Document

RightKind = Literal["author", "performer", "producer", "publisher", "other"]


class RightsBody(Body):
    """A revision of an index's rights table."""

    csv: Annotated[str, Field(min_length=1, max_length=4_000_000)]
    """Whole table as CSV, with the columns `owner,right,party,share,from,to`. A share is in millionths of the right. The
    days `from` and `to` are included, and can be empty."""


class RightsDocument(Document):
    """A revision of an index's rights table."""

    index: str
    """Name of the index."""
    revision: int
    """Number of the revision, from 1."""
    rows: int
    """Number of rows."""
    sha256: str
    """Digest of the revision in the journal."""
    csv: str
    """Whole table as CSV."""
