"""The journal's clock, which stands still until a test moves it: records follow each other by a microsecond."""

from datetime import UTC, datetime, timedelta

from byline_service.compensation.timestamps import timestamp_text
from byline_service.ledger import journal_queries

START = datetime(2026, 3, 10, 12, tzinfo=UTC)


class LedgerClock:
    """Sets the time of the next record.

    Args:
        monkeypatch: Puts the real clock back after the test.
    """

    def __init__(self, monkeypatch):
        self.now = START
        clock = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                del tz
                return clock.now

        monkeypatch.setattr(journal_queries, "datetime", Clock)

    def to(self, *moment):
        """Go to a time in UTC: `to(2026, 4, 1)`."""
        self.now = datetime(*moment, tzinfo=UTC)

    def end_month(self):
        """Go to the tenth of the next month, and return the name of the one that ended."""
        ended = timestamp_text(self.now)[:7]
        self.now = (self.now.replace(day=1) + timedelta(days=32)).replace(day=10)
        return ended
