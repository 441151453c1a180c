"""What only versions can meet."""

from byline.errors import Conflict


class StaleAlias(Conflict):
    """An alias was changed since the ETag that a caller sent was read."""
