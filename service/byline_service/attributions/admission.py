"""The one door: how much may be inside at once. Lives in the event loop's thread, unlocked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from byline.errors import Overloaded


@dataclass
class Capacity:
    """What is inside, or may be."""

    requests: int = 0
    cost: int = 0
    body_bytes: int = 0


class Admission:
    """Admits requests while there is room for them: by number, by bytes of body and by queries.

    A place is taken before the body is read, so that waiting bodies are bounded too.

    Args:
        room: The most that may be inside.
        changed: Told the number of requests inside whenever it changes.
    """

    def __init__(self, room: Capacity, changed: Callable[[int], None] = lambda _: None) -> None:
        self._room = room
        self._inside = Capacity()
        self._changed = changed
        self._closed = False

    @property
    def cost(self) -> int:
        """Queries inside now."""
        return self._inside.cost

    @property
    def closed(self) -> bool:
        """Whether the service is shutting down."""
        return self._closed

    @property
    def full(self) -> bool:
        """Whether as many requests are inside as may be."""
        return self._inside.requests >= self._room.requests

    @property
    def no_place(self) -> str:
        """What a request is told that finds the service full."""
        return f"{self._room.requests} requests are waiting already: try again later"

    def close(self) -> None:
        """Admit nobody from now on; who is inside stays."""
        self._closed = True

    @contextmanager
    def place(self, body_bytes: int) -> Iterator["AdmissionTicket"]:
        """Hold a place for one request.

        Args:
            body_bytes: Memory to set aside for its body.

        Yields:
            The place.

        Raises:
            Overloaded: There is no room, or the service is shutting down.
        """
        if self._closed:
            raise Overloaded("the service is shutting down: try another replica, or again later")
        if self.full:
            raise Overloaded(self.no_place)
        if self._inside.body_bytes + body_bytes > self._room.body_bytes and self._inside.requests:
            raise Overloaded("the bodies of other requests fill the memory set aside: try again later")
        place = AdmissionTicket(self._inside, self._room)
        self._inside.requests += 1
        self._inside.body_bytes += body_bytes
        self._changed(self._inside.requests)
        try:
            yield place
        finally:
            self._inside.requests -= 1
            self._inside.body_bytes -= body_bytes
            self._inside.cost -= place.taken
            self._changed(self._inside.requests)


class AdmissionTicket:
    """One request's place inside."""

    def __init__(self, inside: Capacity, room: Capacity) -> None:
        self._inside = inside
        self._room = room
        self.taken = 0

    def take(self, cost: int) -> None:
        """Take room for queries, once it is known how many.

        Raises:
            Overloaded: The queries inside leave no room. A request alone is always admitted.
        """
        if self._inside.cost and self._inside.cost + cost > self._room.cost:
            raise Overloaded(f"{self._inside.cost} queries are waiting already: try again later")
        self._inside.cost += cost
        self.taken += cost
