"""Shapes and mutations over sockets: no answer of 500, none that the document does not declare."""

import collections
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.system.fuzz import valid
from tests.system.fuzz.mutations import mutations
from tests.system.fuzz.shapes import Known, Shape, shapes
from tests.system.fuzz.wire import Exchange, Reply, exchange
from tests.system.serving import QUERY, Served

ANY_REQUEST = frozenset({400, 404, 405, 413, 421})
"""Statuses that any request can get: it is broken, goes nowhere, is too large, or names another host."""
PAGES = frozenset({200, 206, 303, 304, 307, 416})
"""Further statuses of pages and their files."""
REFUSALS = ("application/problem+json", "text/html; charset=utf-8")
"""Media types of a refusal; pages answer in HTML."""
SECURITY_HEADERS = frozenset(
    {
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-resource-policy",
        "cache-control",
    }
)
BELOW = 400
"""Answer to bytes that are not a request: they never reach the application."""
CONNECTIONS = 16


@dataclass
class Sent:
    """Counts of requests and answers."""

    requests: int = 0
    statuses: "collections.Counter[int]" = field(default_factory=collections.Counter)
    closed: int = 0
    """Connections that ended without an answer."""
    failures: dict[str, str] = field(default_factory=dict)


def known(served: Served) -> Known:
    """Collect the facts about a server that shapes need."""
    return Known(index="tiny", query=QUERY, key=served.key)


def document(served: Served) -> dict[str, Any]:
    """Read its OpenAPI document."""
    status, body = served.get("/openapi.json")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def declared(document: Mapping[str, Any]) -> frozenset[int]:
    """List every declared status but 500, which is never right."""
    responses = (operation["responses"] for _, _, operation in valid.operations(document))
    return frozenset(int(status) for found in responses for status in found if int(status) != 500)


def send_shapes(served: Served) -> Sent:
    """Send every shape once."""
    return _send(served, shapes(known(served)), declared(document(served)))


def send_mutations(served: Served, seed: int, *, count: int | None = None, seconds: float = 1e9) -> Sent:
    """Send a number of mutated requests, or for a time."""
    written = document(served)
    starts = valid.requests(written, known(served), valid.settled(served))
    changed = (
        Shape(f"mutation {n} of seed {seed}", (request,))
        for n, request in enumerate(itertools.islice(mutations(starts, seed), count))
    )
    return _send(served, _until(time.monotonic() + seconds, changed), declared(written))


def _until(end: float, changed: Iterable[Shape]) -> Iterable[Shape]:
    return itertools.takewhile(lambda _: time.monotonic() < end, changed)


def _send(served: Served, sent: Iterable[Shape], allowed: frozenset[int]) -> Sent:
    """Send over several connections at once: one that waits must not hold up the others."""
    found = Sent()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for some in _batches(sent):
            for shape, got in zip(some, pool.map(partial(_exchange, served.port), some), strict=True):
                _note(found, shape, got, allowed)
            if served.process.poll() is not None:
                found.failures["server"] = "it ended"
                break
    return found


def _batches(sent: Iterable[Shape]) -> Iterator[list[Shape]]:
    sent = iter(sent)
    while some := list(itertools.islice(sent, 4 * CONNECTIONS)):
        yield some


def _exchange(port: int, shape: Shape) -> Exchange:
    return exchange(port, shape.pieces)


def _note(found: Sent, shape: Shape, got: Exchange, allowed: frozenset[int]) -> None:
    found.requests += 1
    found.closed += not got.replies
    found.statuses.update(reply.status for reply in got.replies)
    if problem := _problem(got, allowed):
        found.failures[shape.name] = f"{problem}; sent {b''.join(shape.pieces)[:400]!r}"


def _problem(got: Exchange, allowed: frozenset[int]) -> str | None:
    if not got.closed:
        return "the connection stays open after all that the client had to say"
    if got.rest:
        return f"bytes that are no answer: {got.rest[:200]!r}"
    return next(filter(None, (_reply_problem(reply, allowed) for reply in got.replies)), None)


def _reply_problem(reply: Reply, allowed: frozenset[int]) -> str | None:
    if not reply.by_the_application and reply.status != BELOW:
        return f"{reply.status} from below the application"
    if reply.status not in allowed | ANY_REQUEST | PAGES:
        return f"undeclared status {reply.status}: {reply.body[:300]!r}"
    if reply.status >= 400 and reply.headers.get("content-type") not in REFUSALS:
        return f"{reply.status} without a problem document: {reply.headers}"
    missing = SECURITY_HEADERS - set(reply.headers)
    return f"{reply.status} without {missing}" if missing else None
