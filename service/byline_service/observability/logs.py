"""JSON log lines on standard error: names, counts and times; never bodies or training text.

What an exception says may hold any of them: only its type is logged, and where it was raised.
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
"""Innermost frames of an exception that are logged."""
GATHERED_SECONDS = 0.1
"""How long ordinary lines are gathered before they are written: each write gives up the interpreter's lock."""
_GATHERED_LINES = 200
_CAUSES = 5
"""Exceptions of a chain that are logged."""


def configure(level: str) -> None:
    """Write structlog's and uvicorn's records as JSON lines.

    Args:
        level: The least level that is written.
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
    handler = Gathering(sys.stderr)
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


class Gathering(logging.StreamHandler[TextIO]):
    """Writes ordinary lines several at a time; a warning, and what came before it, at once.

    A killed process loses what it gathered: the lines of the last `GATHERED_SECONDS`.

    Args:
        stream: Where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
            return
        if record.levelno > logging.INFO or len(self._lines) >= _GATHERED_LINES:
            self.flush()
        elif len(self._lines) == 1:
            later = threading.Timer(GATHERED_SECONDS, self.flush)
            later.daemon = True
            later.start()

    def flush(self) -> None:
        """Write what was gathered; also called when the process ends."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            self.stream.flush()
        finally:
            self.release()


def traced(error: BaseException) -> list[dict[str, Any]]:
    """Describe an exception and what caused it, without a word of what they say.

    Args:
        error: The exception.

    Returns:
        The type and the frames of each, the outermost exception first.
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
    return traced(exc_info[1])


def _without_repeated_content(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Libraries' messages about an exception, asyncio's above all, repeat what it says."""
    del logger, method
    if event.get("exc_info") and event.get("_from_structlog") is False:
        event["event"] = "exception"
    return event
