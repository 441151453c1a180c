"""Ordinary lines are written together and soon, warnings at once."""

import io
import logging
import time

import pytest

from byline_service.observability.logs import BUFFER_SECONDS, BufferedHandler


@pytest.fixture
def written():
    """A logger and what it wrote.

    Yields:
        (logger, stream).
    """
    stream, logger = io.StringIO(), logging.Logger("gathered")
    handler = BufferedHandler(stream)
    logger.addHandler(handler)
    yield logger, stream
    handler.close()


def test_ordinary_lines_come_soon_and_in_order(written):
    logger, stream = written
    logger.info("one")
    logger.info("two")
    assert stream.getvalue() == ""
    end = time.monotonic() + 100 * BUFFER_SECONDS
    while not stream.getvalue() and time.monotonic() < end:
        time.sleep(BUFFER_SECONDS / 10)
    assert stream.getvalue() == "one\ntwo\n"


def test_a_warning_is_written_at_once_after_what_came_before(written):
    logger, stream = written
    logger.info("one")
    logger.warning("two")
    assert stream.getvalue() == "one\ntwo\n"


def test_the_end_of_the_process_writes_the_rest(written):
    logger, stream = written
    logger.info("one")
    logger.handlers[0].flush()
    assert stream.getvalue() == "one\n"


def test_many_lines_do_not_wait(written):
    logger, stream = written
    for number in range(450):
        logger.info("%d", number)
    assert stream.getvalue().splitlines()[:400] == [str(number) for number in range(400)]
