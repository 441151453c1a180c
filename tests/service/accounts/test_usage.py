"""Usage: summed up in memory, written now and then, shown to its own key."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from byline.errors import DatabaseUnavailable
from byline_service.accounts import usage
from byline_service.accounts.failed_logins import FailedLogins
from byline_service.accounts.key_cache import KeyCache
from byline_service.accounts.secret import Secrets
from byline_service.accounts.usage import UsageBuffer, UsageKey, UsageTotals
from byline_service.database import Database
from byline_service.maintenance import write
from tests.service.conftest import client_without_key
from tests.service.keys import SECRET, bearer

ASK = "/v1/indexes/fake/attributions"


def test_usage_is_by_day_key_and_index_and_each_sees_its_own(serve, database):
    served = serve(database_url=database.url)
    key = served.key_for(scopes=["query", "read"])
    client = client_without_key(served.client)
    client.headers |= bearer(key)
    client.post(ASK, json={"queries": [{"text": "a"}, {"text": "b"}]})
    client.post("/v1/indexes/fake/shares", json={"query": {"text": "a"}})
    client.post(ASK, json={"query": {}})  # refused: not counted
    served.client.post(ASK, json={"query": {"text": "a"}})
    service = served.app.state.service
    served.client.portal.call(write, service)
    own = client.get("/v1/usage").json()["data"]
    assert [(each["index"], each["requests"], each["queries"]) for each in own] == [("fake", 2, 3)]
    assert own[0]["day"] == datetime.now(UTC).date().isoformat()
    everybodys = served.client.get("/v1/usage").json()["data"]
    assert sum(each["queries"] for each in everybodys) == 4
    assert client.get("/v1/caller").json()["last_used_at"] is None  # remembered for a few seconds
    listed = {each["id"]: each["last_used_at"] for each in served.client.get("/v1/keys").json()["data"]}
    assert listed[own[0]["key_id"]] is not None


def test_what_cannot_be_written_is_written_later(database, monkeypatch):
    used = UsageBuffer()
    accounts = KeyCache(database.database, Secrets(SECRET.encode()))
    service = SimpleNamespace(
        database=database.database, accounts=accounts, usage=used, failed_logins=FailedLogins()
    )
    used.add("k" * 12, "fake", 3, 1.5)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "begin", gone)
        database.run(lambda _: write(service))
    used.add("k" * 12, "fake", 4, 2.5)
    database.run(lambda _: write(service))
    database.run(lambda _: write(service))
    found = database.booked(usage.page, date(2000, 1, 1), None, None, 10)
    assert [(row["requests"], row["queries"], row["milliseconds"]) for row in found] == [(2, 7, 4)]


def gone(self):
    raise DatabaseUnavailable("gone")


def test_usage_is_paged_newest_day_first(database):
    days = [date(2026, 1, day) for day in (1, 2, 3)]
    sums = {
        UsageKey(day, key, name): UsageTotals(1, 1, 1) for day in days for key in "ab" for name in ("x", "y")
    }
    database.booked(usage.add, sums)
    database.booked(usage.add, sums)
    found, last = [], None
    while rows := database.booked(usage.page, days[0], None, last, 5):
        found += rows
        last = UsageKey(rows[-1]["day"], rows[-1]["key_id"], rows[-1]["index_name"])
    assert [UsageKey(row["day"], row["key_id"], row["index_name"]) for row in found] == sorted(
        sums, reverse=True
    )
    assert {row["queries"] for row in found} == {2}
    assert len(database.booked(usage.page, days[1], "a", None, 100)) == 4


@pytest.mark.parametrize("after", ["x", "2026-01-01~a", "2026-13-01~a~b", "2026-01-01~a~\0", "~~"])
def test_cursors_that_are_none(served, after):
    assert served.client.get("/v1/usage", params={"after": after}).status_code == 422
