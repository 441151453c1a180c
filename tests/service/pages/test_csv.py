"""Files for spreadsheets: whole, or broken off so that everybody sees it."""

import csv
import io
import sqlite3
from contextlib import closing

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from byline.errors import DatabaseUnavailable
from byline_service.pages.csv import csv_stream


def test_the_ledgers_file_has_every_entry(serve):
    """More than a page of them, and more than the file once stopped at."""
    served = serve()
    rows = [
        (sequence, line, "run", "royalties", "payable", f"owner {line}", "EUR", line)
        for sequence in range(1, 46)
        for line in range(1, 501)
    ]
    # Rows that no run posted: this connection holds no foreign keys.
    with closing(sqlite3.connect(served.app.state.service.database.url.database)) as connection:
        names = "sequence, line, run_id, policy, account, owner, currency, amount"
        connection.executemany(f"INSERT INTO ledger_entries ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
    response = served.client.get("/compensation/ledger.csv")
    rows = list(csv.reader(io.StringIO(response.text)))
    assert len(rows) == 45 * 500 + 1
    assert [(row[0], row[1]) for row in rows[1:3] + rows[-1:]] == [("1", "1"), ("1", "2"), ("45", "500")]
    assert response.headers["content-disposition"] == 'attachment; filename="ledger.csv"'


def test_a_file_without_rows_has_its_head(served):
    assert served.client.get("/compensation/ledger.csv").text.startswith("\ufeffsequence,line,run")
    assert served.client.get("/compensation/ledger.csv").text.count("\n") == 1


def test_a_failure_in_the_middle_breaks_the_file_off():
    async def pages():
        yield [("=1+1", None)]
        raise DatabaseUnavailable("gone")

    async def app(scope, receive, send):
        response = await csv_stream(Request(scope), "x", ("a", "b"), pages())
        await response(scope, receive, send)

    with pytest.raises(DatabaseUnavailable):
        TestClient(app).get("/")


def test_a_failure_with_the_first_page_is_a_failure():
    async def pages():
        raise DatabaseUnavailable("gone")
        yield []

    async def app(scope, receive, send):
        await csv_stream(Request(scope), "x", ("a", "b"), pages())

    with pytest.raises(DatabaseUnavailable):
        TestClient(app).get("/")
