"""JSON log lines on standard error: names, counts and times; never bodies or training text.

The message of an exception may hold either, so only the exception's type and frames are logged.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

import structlog

_FRAMES = 30
"""Number of innermost frames that are logged per exception."""
BUFFER_SECONDS = 0.1
"""Seconds for which ordinary lines are buffered: each write releases the interpreter's lock."""
_BUFFERED_LINES = 200
_CAUSES = 5
"""Number of chained exceptions that are logged."""


def configure(level: str) -> None:
    """Configure structlog and the standard library to write JSON lines.

    Args:
        level: Lowest level that is written.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_repeated_content,
        structlog.processors.ExceptionRenderer(_rendered),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = BufferedHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes ordinary lines in groups. A warning, and the lines before it, at once.

    A process that is killed loses the lines of the last `BUFFER_SECONDS`.

    Args:
        stream: The output.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Buffer a line."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
            return
        if record.levelno > logging.INFO or len(self._lines) >= _BUFFERED_LINES:
            self.flush()
        elif len(self._lines) == 1:
            later = threading.Timer(BUFFER_SECONDS, self.flush)
            later.daemon = True
            later.start()

    def flush(self) -> None:
        """Write the buffered lines, also called at the end of the process."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            self.stream.flush()
        finally:
            self.release()


def describe_exception(error: BaseException) -> list[dict[str, Any]]:
    """Describe an exception and its causes, without their messages.

    Args:
        error: The exception.

    Returns:
        Type and frames of each exception, the outermost one first.
    """
    return [
        {
            "type": type(each).__qualname__,
            "frames": [
                f"{frame.filename}:{frame.lineno} in {frame.name}"
                for frame in traceback.extract_tb(each.__traceback__, limit=-_FRAMES)
            ],
        }
        for _, each in zip(range(_CAUSES), _chain(error), strict=False)
    ]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _rendered(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> list[dict[str, Any]]:
    return describe_exception(exc_info[1])


def _without_repeated_content(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop the message of library records with an exception: asyncio's above all repeat the exception's message."""
    del logger, method
    if event.get("exc_info") and event.get("_from_structlog") is False:
        event["event"] = "exception"
    return event
