"""Runs `byline` with a journal's clock on which a day lasts a tenth of a second: periods of a day end during a test.

`QUICK_DAYS_SINCE` is the time, in seconds since 1970, at which the clock shows 1 January 2026. It outlives restarts.
"""

import os
import time
from datetime import UTC, datetime, timedelta, tzinfo
from unittest.mock import patch

from byline.__main__ import main

QUICK_DAYS = "QUICK_DAYS_SINCE"
DAYS_A_SECOND = 10


class Clock(datetime):
    """The clock of the journal."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Clock":
        """Return the quick time, in UTC."""
        del tz
        passed = timedelta(days=DAYS_A_SECOND * (time.time() - float(os.environ[QUICK_DAYS])))
        return cls(2026, 1, 1, tzinfo=UTC) + passed


if __name__ == "__main__":
    with patch("byline_service.ledger.journal_queries.datetime", Clock):
        main()
