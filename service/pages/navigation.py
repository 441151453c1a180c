"""Which pages there are, and which of them a caller is offered. What a caller may do is decided where it is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One page in the bar at the top."""

    name: str
    """What pages call themselves."""
    title: str
    path: str


ENTRIES = (
    Entry("ask", "Ask", "/"),
    Entry("indexes", "Indexes", "/indexes"),
    Entry("docs", "API", "/docs"),
)
