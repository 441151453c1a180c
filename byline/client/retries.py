"""When a call is tried again, and after how long."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from byline.client.calls import Call
from byline.client.errors import InProgress, QuotaExceeded, ServiceError, Unavailable, Unreachable


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a call is tried again, at most: only those that do no more the second time.

    The service's `Retry-After` is honoured; where there is none, pauses double. Up to a quarter is added at random to
    each, so that many clients do not come back at once.
    """

    attempts: int = 5
    """Times that a call is sent, the first one included; 1 never tries again."""
    total_seconds: float = 60.0
    """From the first attempt to the last one's start. A pause that would end later is not begun."""
    first_seconds: float = 0.5
    """The first pause."""
    longest_seconds: float = 20.0
    """The longest pause, unless the service asks for more."""

    def pause(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next attempt.

        Args:
            attempt: Attempts so far, at least 1.
            asked: What the service asked for.
        """
        doubled = min(self.longest_seconds, self.first_seconds * 2 ** (attempt - 1))
        least = doubled if asked is None else asked
        return least * (1 + 0.25 * random.random())  # noqa: S311 - only spreads clients out


DEFAULT = Retries()
NEVER = Retries(attempts=1)


_LARGE = 1 << 16
"""Bytes of a body that may still be on their way when it is refused."""


class Attempts:
    """The attempts at one call.

    Args:
        call: The call.
        retries: How often it may be tried.
        clock: Seconds, as `time.monotonic`.
    """

    def __init__(
        self, call: Call[Any], retries: Retries, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call, self._retries, self._clock = call, retries, clock
        self._began, self._made = clock(), 0

    def failed(self, error: ServiceError | httpx.HTTPError) -> float:
        """Take note of an attempt that failed.

        Args:
            error: What the service said, or why nothing came.

        Returns:
            Seconds to wait before the next attempt.

        Raises:
            ServiceError: There is none; this is what it said.
            Unreachable: There is none, and nothing came.
        """
        refused = isinstance(error, ServiceError)
        pause = self._next(error.retry_after if isinstance(error, ServiceError) else None)
        if pause is not None and self._call.repeatable and _passes(error):
            return pause
        if refused:
            raise error
        times = f" ({self._made} attempts)" if self._made > 1 else ""
        raise Unreachable(
            f"expected an answer from the service, got {type(error).__name__}{times}: look at the address, at the "
            f"network, and whether the service runs{self._refused_unread()}"
        ) from error

    def _refused_unread(self) -> str:
        """A service that refuses a large body closes the connection, and its answer may be lost with it."""
        size = self._call.body.length if self._call.body else 0
        return (
            f"; or it refused {size:,} bytes unread: look at the key and the tensors" if size > _LARGE else ""
        )

    def _next(self, asked: float | None) -> float | None:
        self._made += 1
        if self._made >= self._retries.attempts:
            return None
        pause = self._retries.pause(self._made, asked)
        left = self._retries.total_seconds - (self._clock() - self._began)
        return pause if pause <= left else None


def _passes(error: ServiceError | httpx.HTTPError) -> bool:
    """Whether the cause may be gone the next time."""
    # In progress: an attempt's connection was lost, and the service is still at it.
    return isinstance(error, InProgress | QuotaExceeded | Unavailable | httpx.TransportError)


def seconds_of(retry_after: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
