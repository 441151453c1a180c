"""Reading server-sent events as their bytes come in."""

from collections.abc import Iterator

MOST_BYTES = 256 << 20
"""An event that is longer is none of ours."""


class EventReader:
    """Puts events together."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """Take some bytes.

        Args:
            chunk: As they come, cut anywhere.

        Yields:
            Name and data of every event that is complete now.

        Raises:
            ValueError: An event is longer than `MOST_BYTES`.
        """
        searched = max(0, len(self._rest) - 1)
        self._rest += chunk
        while (end := self._rest.find(b"\n\n", searched)) >= 0:
            block = bytes(self._rest[:end])
            del self._rest[: end + 2]
            searched = 0
            if event := _event(block):
                yield event
        if len(self._rest) > MOST_BYTES:
            raise ValueError(f"expected an event of at most {MOST_BYTES} bytes, got a longer one")


def _event(block: bytes) -> tuple[str, bytes] | None:
    """A block's name and data; None for a comment."""
    name, data = "message", list[bytes]()
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            data.append(value)
    return (name, b"\n".join(data)) if data else None
