"""Limits on concurrent requests. The counters belong to the event loop's thread and need no lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from byline.errors import Overloaded


@dataclass
class Capacity:
    """Amounts of concurrent work: the current ones, or the largest ones allowed."""

    requests: int = 0
    cost: int = 0
    body_bytes: int = 0


class Admission:
    """Admits requests within limits on their number, their queries and the bytes of their bodies.

    A ticket is issued before the body is read, so that waiting bodies are bounded too.

    Args:
        room: The limits.
        changed: Called with the number of admitted requests whenever it changes.
    """

    def __init__(self, room: Capacity, changed: Callable[[int], None] = lambda _: None) -> None:
        self._room = room
        self._inside = Capacity()
        self._changed = changed
        self._closed = False

    @property
    def cost(self) -> int:
        """Return the number of admitted queries."""
        return self._inside.cost

    @property
    def closed(self) -> bool:
        """Return whether the service is shutting down."""
        return self._closed

    @property
    def full(self) -> bool:
        """Return whether the limit on requests is reached."""
        return self._inside.requests >= self._room.requests

    @property
    def no_place(self) -> str:
        """Return the message of a request that is refused by number."""
        return f"{self._room.requests} requests are waiting already: try again later"

    def close(self) -> None:
        """Admit no further request. Admitted ones continue."""
        self._closed = True

    @contextmanager
    def place(self, body_bytes: int) -> Iterator["AdmissionTicket"]:
        """Admit one request, for the length of the context.

        Args:
            body_bytes: Bytes to reserve for its body.

        Yields:
            The ticket of the request.

        Raises:
            Overloaded: A limit is reached, or the service is shutting down.
        """
        if self._closed:
            raise Overloaded("the service is shutting down: try another replica, or again later")
        if self.full:
            raise Overloaded(self.no_place)
        if self._inside.body_bytes + body_bytes > self._room.body_bytes and self._inside.requests:
            raise Overloaded("the bodies of other requests fill the reserved memory: try again later")
        ticket = AdmissionTicket(self._inside, self._room)
        self._inside.requests += 1
        self._inside.body_bytes += body_bytes
        self._changed(self._inside.requests)
        try:
            yield ticket
        finally:
            self._inside.requests -= 1
            self._inside.body_bytes -= body_bytes
            self._inside.cost -= ticket.taken
            self._changed(self._inside.requests)


class AdmissionTicket:
    """The share of one request in the admitted work."""

    def __init__(self, inside: Capacity, room: Capacity) -> None:
        self._inside = inside
        self._room = room
        self.taken = 0

    def take(self, cost: int) -> None:
        """Reserve room for queries, once their number is known.

        Raises:
            Overloaded: The limit on queries is reached. A request alone is always admitted.
        """
        if self._inside.cost and self._inside.cost + cost > self._room.cost:
            raise Overloaded(f"{self._inside.cost} queries are waiting already: try again later")
        self._inside.cost += cost
        self.taken += cost
