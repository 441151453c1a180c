"""Verifying over HTTP: beside the service's other work, one at a time."""

import asyncio
import threading
import time

import pytest

from byline.errors import DatabaseUnavailable, Overloaded
from byline_service.accounts.scopes import Caller
from byline_service.ledger import verify_job as module
from byline_service.ledger.booking import book_event
from byline_service.ledger.verify import Verification
from byline_service.ledger.verify_job import Verifier
from tests.service.compensation.reference import KEY, event

ASK, VERIFY = "/v1/indexes/fake/attributions", "/v1/ledger/verification"
ADA = Caller(key_id="k" * 12, person="ada", scopes=frozenset())


@pytest.fixture
def held(monkeypatch):
    """Verifications that last until they are let go, in a thread.

    Returns:
        (the event that lets them go, how many began).
    """
    let_go, began = threading.Event(), []

    async def slow(database):
        began.append(database)
        assert await asyncio.to_thread(let_go.wait, 20)
        return Verification(records=len(began), head="0" * 64)

    monkeypatch.setattr(module, "verify", slow)
    return let_go, began


def test_questions_are_answered_while_the_ledger_is_verified(serve, held):
    let_go, began = held
    served = serve(deadline_seconds=10)
    found = []
    asking = [
        threading.Thread(target=lambda: found.append(served.client.get(VERIFY).json())) for _ in range(2)
    ]
    for each in asking:
        each.start()
    while not began:
        time.sleep(0.01)
    for _ in range(5):
        assert served.client.post(ASK, json={"query": {"text": "hello"}}).status_code == 200
    assert found == []
    let_go.set()
    for each in asking:
        each.join(20)
    assert [each["records"] for each in found] == [1, 1], "both got the one result"


def test_what_takes_longer_than_a_request_may_is_503_and_its_result_waits(serve, held):
    let_go, began = held
    client = serve(deadline_seconds=0.2).client
    for _ in range(2):
        refused = client.get(VERIFY)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:byline:problem:overloaded")
        assert int(refused.headers["retry-after"]) >= 1
    let_go.set()
    time.sleep(0.1)
    assert client.get(VERIFY).json()["records"] == 1
    assert client.get(VERIFY).json()["records"] == 2, "a result is given to those who waited, then made anew"
    assert len(began) == 2


def test_a_failure_is_not_kept(database, monkeypatch):
    async def gone(_):
        raise DatabaseUnavailable("gone")

    async def twice(used):
        verifier = Verifier(used)
        with monkeypatch.context() as patched:
            patched.setattr(module, "verify", gone)
            with pytest.raises(DatabaseUnavailable):
                await verifier.verify(10)
        return await verifier.verify(10)

    assert database.run(twice).findings == []


def test_real_work_in_the_thread_leaves_the_loop_free(sqlite_ledger):
    async def latency(used):
        verifier, worst, count = Verifier(used), 0.0, 0
        running = asyncio.ensure_future(verifier.verify(60))
        while not running.done():
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            worst, count = max(worst, time.perf_counter() - start), count + 1
        return await running, worst, count

    found, worst, count = sqlite_ledger.run(latency)
    assert found.findings == []
    assert found.events == 400
    assert count > 5
    assert worst < 0.5


@pytest.fixture
def sqlite_ledger(tmp_path):
    """A ledger of 400 events.

    Yields:
        Its database.
    """
    from byline_service.database.engine import sqlite_url
    from tests.service.databases import UsedDatabase
    from tests.service.keys import empty_sqlite

    path = tmp_path / "books.sqlite"
    path.write_bytes(empty_sqlite())
    used = UsedDatabase(sqlite_url(path))

    async def book(transaction):
        for number in range(400):
            scores = {f"owner {n}": [n, 2, 3] for n in range(20)}
            await book_event(transaction, ADA, event(scores, id=f"{number:032x}"), KEY.public)

    used.booked(book)
    yield used
    used.close()


def test_late_results_are_not_kept_for_ever(database, held, monkeypatch):
    let_go, began = held
    monkeypatch.setattr(module, "KEPT_SECONDS", 0.0)

    async def late(used):
        verifier = Verifier(used)
        with pytest.raises(Overloaded):
            await verifier.verify(0.05)
        let_go.set()
        await asyncio.sleep(0.2)
        return await verifier.verify(10)

    assert database.run(late).records == 2
    assert len(began) == 2
