"""Usage: summed up in memory, written now and then, shown to whom it belongs."""

from datetime import UTC, datetime, timedelta

from byline_service import idempotency
from byline_service.idempotency import Attempt


def test_old_answers_are_forgotten(database):
    attempt = Attempt.of("k" * 12, "POST /x", "1", b"body")
    assert database.booked(idempotency.begin, attempt) is None
    database.booked(idempotency.finish, attempt, idempotency.Replay(200, "{}"))
    assert database.booked(idempotency.forget, datetime.now(UTC) - timedelta(days=1)) == 0
    assert database.booked(idempotency.forget, datetime.now(UTC) + timedelta(days=1)) == 1
    assert database.booked(idempotency.find, attempt) is None
