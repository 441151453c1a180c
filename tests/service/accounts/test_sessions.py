"""Cookies of sessions: read back until they end, and ended before that."""

from datetime import UTC, datetime

import pytest

from byline.errors import Unauthorized
from byline_service.accounts import session_queries
from byline_service.accounts.secret import Secrets
from byline_service.accounts.sessions import SECONDS, read_session, write_session

SECRET = b"s" * 32
SECRETS = Secrets(SECRET)


def test_a_cookie_is_read_back_until_it_ends():
    cookie = write_session("k" * 12, 1000.0, SECRET)
    assert read_session(cookie, 1000.0 + SECONDS - 1, SECRETS).key_id == "k" * 12
    for wrong in (cookie[:-1], "x" + cookie[1:], "", ".", "a.b", cookie + ".", "ä.ä", cookie.split(".")[0]):
        with pytest.raises(Unauthorized):
            read_session(wrong, 1000.0, SECRETS)
    for now, secret in ((1000.0 + SECONDS, SECRETS), (1000.0, Secrets(b"t" * 32))):
        with pytest.raises(Unauthorized):
            read_session(cookie, now, secret)


def test_a_session_from_a_clock_that_was_far_ahead_is_over():
    year = 365 * 24 * 3600
    for ahead, valid in ((3600, True), (SECONDS, True), (year, False)):
        cookie = write_session("k" * 12, 1e9 + ahead, SECRET)
        if valid:
            assert read_session(cookie, 1e9, SECRETS).key_id == "k" * 12
        else:
            with pytest.raises(Unauthorized):
                read_session(cookie, 1e9, SECRETS)


def test_an_ended_session_is_forgotten_when_its_cookie_has_expired(database):
    session = read_session(write_session("k" * 12, 1e9, SECRET), 1e9, SECRETS)
    assert database.booked(session_queries.end, session)
    assert not database.booked(session_queries.end, session)
    for seconds, known in ((1e9, True), (1e9 + SECONDS + 1, False)):
        database.booked(session_queries.forget, datetime.fromtimestamp(seconds, UTC))
        assert database.booked(session_queries.is_ended, session.id) is known
