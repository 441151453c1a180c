"""The clock of the day is set, forwards and backwards: nobody is locked out, nothing is lost, the order stays."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from byline.api.versions import VersionState
from byline_service import idempotency, maintenance
from byline_service.accounts import key_cache
from byline_service.accounts.failed_logins import FailedLogins
from byline_service.accounts.secret import Secrets
from byline_service.accounts.usage import UsageBuffer
from byline_service.idempotency import Attempt
from byline_service.ledger import journal_queries
from byline_service.versions.records import SILENT, VersionRecord
from tests.service.fakes import fake_attributor
from tests.service.keys import bearer

YEAR = timedelta(days=365)


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock that some modules read.

    Returns:
        A function: by how much it is ahead from now on.
    """
    ahead = timedelta(0)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + ahead

    for module in (key_cache, journal_queries, idempotency, maintenance):
        monkeypatch.setattr(module, "datetime", Clock)

    def put(by):
        nonlocal ahead
        ahead = by

    return put


def test_records_stay_in_order_and_runs_look_at_all_of_them(books):
    """Events that were booked while the clock was a year ahead are paid for, and those booked after them."""
    books.policy()
    booked = [books.book({"ash": (3, 4, 5)})]
    books.clock.to(2027, 3, 10)
    booked.append(books.book({"ash": (3, 4, 5)}))
    books.clock.to(2026, 3, 10)
    booked += [books.book({"ash": (3, 4, 5)}) for _ in range(2)]
    moments = [each.booked_at for each in booked]
    assert moments == sorted(set(moments))
    books.posted(books.draft(period="2026-03"))
    books.book({"ash": (3, 4, 5)})
    books.clock.to(2027, 4, 1)
    books.posted(books.draft(period="2027-03"))
    found = books.verify()
    assert (found.findings, found.events, found.posted) == ([], 5, 2)


def test_a_key_is_valid_by_the_clock_as_it_is_now(served, clock):
    end = datetime.now(UTC) + timedelta(hours=1)
    key = served.key_for(scopes=["read"], expires_at=end)

    def status():
        return served.client.get("/v1/caller", headers=bearer(key)).status_code

    seen = []
    for ahead in (timedelta(0), timedelta(hours=2), timedelta(0), -YEAR):
        clock(ahead)
        seen.append(status())
    assert seen == [200, 401, 200, 200], "a wrong clock ends no key for good"


@pytest.mark.parametrize(
    ("heard", "under_way"),
    [(-SILENT / 2, True), (SILENT / 2, True), (-2 * SILENT, False), (YEAR, False)],
)
def test_a_check_that_was_heard_of_in_the_future_ended(heard, under_way):
    now = datetime.now(UTC)
    record = VersionRecord(
        index="x",
        version="y",
        state=VersionState.REGISTERED,
        reason=None,
        registered_at=now,
        verified_at=None,
        unusable_at=None,
        retired_at=None,
        checked_bytes=1,
        total_bytes=2,
        heard_at=now + heard,
    )
    assert record.checking(now) is under_way


def test_a_clock_that_was_set_ahead_forgets_no_answer(database, clock, monkeypatch):
    import asyncio

    attempt = Attempt.of("k" * 12, "POST /x", "1", b"body")
    database.booked(idempotency.begin, attempt)
    database.booked(idempotency.finish, attempt, idempotency.Replay(200, "{}"))
    clock(YEAR)
    ahead = iter([0.0] + [YEAR.total_seconds()] * 100)
    monkeypatch.setattr(maintenance, "_ahead", lambda: next(ahead))
    monkeypatch.setattr(maintenance, "SECONDS", 0.001)

    async def keep_house(used):
        service = SimpleNamespace(
            database=used,
            accounts=key_cache.KeyCache(used, Secrets(b"s" * 32)),
            usage=UsageBuffer(),
            failed_logins=FailedLogins(),
        )
        house = asyncio.ensure_future(maintenance.run_maintenance(service))
        await asyncio.sleep(0.05)
        assert not house.done()
        house.cancel()

    database.run(keep_house)
    assert database.booked(idempotency.find, attempt) is not None


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999-14:00",
        "9999-12-31T23:59:59.999999Z",
        "1999-12-31T23:59:59Z",
    ],
)
def test_keys_that_end_at_the_end_of_time(serve, database, moment):
    client = serve(database_url=database.url).client
    wanted = {"name": "loop", "person": "ada", "scopes": ["read"], "expires_at": moment}
    refused = client.post("/v1/keys", json=wanted)
    assert (refused.status_code, "expires_at" in refused.json()["detail"]) == (422, True)
    assert client.post("/v1/keys", json=wanted | {"expires_at": "8999-12-31T23:59:59-14:00"}).is_success
    assert len(client.get("/v1/keys").json()["data"]) == 2


@pytest.mark.parametrize("period", ["0000-12", "0000-01", "9999-12", "9999-13"])
def test_periods_at_the_end_of_time(serve, period):
    attributor, _ = fake_attributor(members=3, checkpoints=3)
    client = serve({"fake": attributor}).client
    policy = {"name": "royalties", "currency": "EUR", "pool": 100}
    assert client.post("/v1/policies", json=policy, headers={"idempotency-key": "p"}).is_success
    draft = {"draft": {"kind": "allocation", "policy": "royalties", "period": period}}
    refused = client.post("/v1/statement-runs", json=draft, headers={"idempotency-key": "d"})
    assert (refused.status_code, "years 1 to 9998" in refused.json()["detail"]) == (422, True)
