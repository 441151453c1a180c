"""Runs `byline` with the journal's clock in the month before, until a file appears: a demo cannot wait for a month's end.

`DEMO_MONTH_ENDED` names the file. Once it is there, the clock is right again and the month before has ended.
"""

import os
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from unittest.mock import patch

from byline.__main__ import main

MONTH_ENDED = "DEMO_MONTH_ENDED"


class Clock(datetime):
    """The clock of the journal."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Clock":
        """Return the present time, or the same day of the month before."""
        now = super().now(tz)
        return now if Path(os.environ[MONTH_ENDED]).exists() else now - timedelta(days=now.day)


if __name__ == "__main__":
    with patch("byline_service.ledger.journal_queries.datetime", Clock):
        main()
