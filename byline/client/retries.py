"""Repeated attempts of a call, and the pauses between them."""

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
    """The limits of repeated attempts. The client repeats a call only if a second attempt has no further effect.

    The client honors the service's `Retry-After`. Without it, the pauses double. A random addition of up to a quarter
    keeps many clients from returning at the same time.
    """

    attempts: int = 5
    """Number of attempts, including the first one. 1 means no repetition."""
    total_seconds: float = 60.0
    """Seconds from the first attempt to the start of the last one."""
    first_seconds: float = 0.5
    """Seconds of the first pause."""
    longest_seconds: float = 20.0
    """Seconds of the longest pause, unless the service asks for more."""

    def pause(self, attempt: int, asked: float | None) -> float:
        """Compute the seconds before the next attempt.

        Args:
            attempt: Number of attempts so far, at least 1.
            asked: Seconds that the service asked for. None if it named none.
        """
        doubled = min(self.longest_seconds, self.first_seconds * 2 ** (attempt - 1))
        least = doubled if asked is None else asked
        return least * (1 + 0.25 * random.random())  # noqa: S311 - only spreads clients out


DEFAULT = Retries()
NEVER = Retries(attempts=1)


_LARGE = 1 << 16
"""Bytes of a body that may still be in transit when the service refuses it."""


class Attempts:
    """The attempts of one call.

    Args:
        call: The call.
        retries: Limits of repeated attempts.
        clock: Function that returns seconds, such as `time.monotonic`.
    """

    def __init__(
        self, call: Call[Any], retries: Retries, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call, self._retries, self._clock = call, retries, clock
        self._began, self._made = clock(), 0

    def failed(self, error: ServiceError | httpx.HTTPError) -> float:
        """Count a failed attempt.

        Args:
            error: Refusal of the service, or failure of the connection.

        Returns:
            Seconds to wait before the next attempt.

        Raises:
            ServiceError: The service refused, and no attempt is left.
            Unreachable: The connection failed, and no attempt is left.
        """
        refused = isinstance(error, ServiceError)
        pause = self._next(error.retry_after if isinstance(error, ServiceError) else None)
        if pause is not None and self._call.repeatable and _passes(error):
            return pause
        if refused:
            raise error
        times = f" ({self._made} attempts)" if self._made > 1 else ""
        raise Unreachable(
            f"no answer from the service, {type(error).__name__}{times}: check the address and the network, and that the "
            f"service runs{self._refused_unread()}"
        ) from error

    def _refused_unread(self) -> str:
        """Mention a possible refusal: a service that refuses a large body closes the connection, maybe before its answer."""
        size = self._call.body.length if self._call.body else 0
        return (
            f"; or it refused {size:,} bytes unread: check the key and the tensors" if size > _LARGE else ""
        )

    def _next(self, asked: float | None) -> float | None:
        self._made += 1
        if self._made >= self._retries.attempts:
            return None
        pause = self._retries.pause(self._made, asked)
        left = self._retries.total_seconds - (self._clock() - self._began)
        return pause if pause <= left else None


def _passes(error: ServiceError | httpx.HTTPError) -> bool:
    """Check whether the cause may have passed at the next attempt."""
    # In progress: the connection of an earlier attempt was lost, and the service still works on it.
    return isinstance(error, InProgress | QuotaExceeded | Unavailable | httpx.TransportError)


def seconds_of(retry_after: str | None) -> float | None:
    """Read a `Retry-After` header, which holds seconds or a date."""
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
