"""The constructor that both clients share."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import httpx

from byline.client.retries import DEFAULT, Retries
from byline.client.transport import Exchange, timeout_of

HttpT = TypeVar("HttpT", httpx.Client, httpx.AsyncClient)


class BaseClient(ABC, Generic[HttpT]):
    """The address, the key and the connections of a client.

    Args:
        url: Address of the service.
        key: API key. None sends no key.
        timeout: Seconds without a byte from the service before the client gives up.
        retries: Limits of repeated attempts.
        http: HTTP client with your own proxies and certificates. Byline does not close it.

    Raises:
        InvalidInput: The address or the key is invalid.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: Retries = DEFAULT,
        http: HttpT | None = None,
    ) -> None:
        self._exchange = Exchange(url, key, timeout, retries)
        self.url = self._exchange.url
        """Address of the service."""
        self._owned = http is None
        self._http: HttpT = self._connect(timeout_of(timeout)) if http is None else http

    @abstractmethod
    def _connect(self, timeout: httpx.Timeout) -> HttpT:
        """Create the HTTP client."""
