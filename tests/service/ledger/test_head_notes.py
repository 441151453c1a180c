"""Heads are noted in a file and at a webhook while they change, and a place that fails gets them later."""

import asyncio
import http.server
import json
import threading
from types import SimpleNamespace

import pytest

from byline_service.ledger.head_notes import HeadNotes
from byline_service.ledger.heads import read_heads
from byline_service.observability.metrics import Metrics
from tests.service.databases import UsedDatabase


@pytest.fixture
def webhook():
    """A webhook that answers with `status`.

    Yields:
        Its address, its status and what it got.
    """
    place = SimpleNamespace(got=[], status=204)

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            place.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(place.status)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    place.url = f"http://127.0.0.1:{server.server_port}/heads"
    yield place
    server.shutdown()
    thread.join()
    server.server_close()


def test_heads_are_noted_while_they_change_and_all_are_checked(sqlite_books, tmp_path, webhook):
    path, metrics, used = tmp_path / "heads.jsonl", Metrics(), sqlite_books.used
    notes = HeadNotes(used.database, path, webhook.url, metrics)
    for revised in range(3):
        for _ in range(2):
            used.run(lambda _: notes.note())
        if revised < 2:
            sqlite_books.policy()
    assert len(path.read_text().splitlines()) == len(webhook.got) == 3
    assert webhook.got[0]["journal"] is None
    heads = read_heads(path)
    assert [(each.log, each.sequence) for each in heads] == [
        ("journal", 1),
        ("audit", 1),
        ("journal", 2),
        ("audit", 2),
    ]
    assert sqlite_books.verify_heads(heads) == []


def test_a_place_that_fails_gets_the_heads_with_the_next_note(sqlite_books, tmp_path, webhook):
    path, metrics, used = tmp_path / "later" / "heads.jsonl", Metrics(), sqlite_books.used
    notes = HeadNotes(used.database, path, webhook.url, metrics)
    webhook.status = 500
    used.run(lambda _: notes.note())
    told = metrics.text().decode()
    for place in ("file", "webhook"):
        assert f'byline_heads_not_noted_total{{place="{place}"}} 1.0' in told
    path.parent.mkdir()
    webhook.status = 204
    used.run(lambda _: notes.note())
    assert len(path.read_text().splitlines()) == 1
    assert len(webhook.got) == 2


def test_without_a_database_nothing_is_noted(tmp_path):
    used, metrics = UsedDatabase(f"sqlite:///{tmp_path / 'empty.sqlite'}"), Metrics()
    notes = HeadNotes(used.database, tmp_path / "heads", None, metrics)
    used.run(lambda _: notes.note())
    used.close()
    assert not (tmp_path / "heads").exists()
    assert 'byline_heads_not_noted_total{place="database"} 1.0' in metrics.text().decode()


def test_a_service_notes_the_heads_of_its_journal(serve, tmp_path):
    path = tmp_path / "heads.jsonl"
    served = serve(ledger_heads_file=path, ledger_heads_seconds=1)

    async def until_noted():
        for _ in range(200):
            if path.exists() and path.read_text():
                return
            await asyncio.sleep(0.02)

    served.client.portal.call(until_noted)
    assert {each.log for each in read_heads(path)} == {"audit"}
