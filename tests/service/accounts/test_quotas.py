"""Quotas: by key, by minute, atomic over replicas, and never a reason to fail."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from byline.errors import DatabaseUnavailable
from byline_service.accounts import quota_queries
from byline_service.accounts.quotas import SharedCounter
from byline_service.database import Database
from tests.service.conftest import client_without_key
from tests.service.keys import bearer

ASK = "/v1/indexes/fake/attributions"
NOW, MINUTE = datetime(2026, 1, 2, tzinfo=UTC), timedelta(minutes=1)


def test_requests_beyond_the_quota_are_429_until_the_next_minute(serve, database):
    served = serve(database_url=database.url)
    key = served.key_for(scopes=["read"], requests_per_minute=3)
    client = client_without_key(served.client)
    client.headers |= bearer(key)
    answers = [client.get("/v1/indexes") for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert answers[1].headers["ratelimit"].startswith('"requests";r=1;t=')
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert answers[3].json()["type"] == "urn:byline:problem:quota"
    assert served.client.get("/v1/indexes").status_code == 200, "one key's quota is not another's"
    assert client.get("/livez").status_code == 200
    assert 'byline_quota_refused_total{kind="requests"} 2.0' in served.client.get("/metrics").text


def test_queries_have_a_quota_of_their_own(served):
    key = served.key_for(scopes=["query"], queries_per_minute=5)
    client = client_without_key(served.client)
    client.headers |= bearer(key)
    four = {"queries": [{"text": "a"}] * 4}
    assert client.post(ASK, json=four).status_code == 200
    assert client.post(ASK, json=four).status_code == 429
    last = client.post(ASK, json={"query": {"text": "a"}})
    assert last.status_code == 200, "what was refused took nothing"
    assert '"queries";r=0' in last.headers["ratelimit"]
    too_many = client.post(ASK, json={"queries": [{"text": "a"}] * 6})
    assert too_many.status_code == 429
    assert "ask for less" in too_many.json()["detail"]


def test_the_services_quota_is_for_keys_without_their_own(serve):
    served = serve(requests_per_minute=2)
    client = client_without_key(served.client)
    client.headers |= bearer(served.key_for(scopes=["read"]))
    own = bearer(served.key_for(scopes=["read"], requests_per_minute=3))
    assert [client.get("/v1/indexes").status_code for _ in range(3)] == [200, 200, 429]
    assert [client.get("/v1/indexes", headers=own).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_window_begins_anew_when_it_is_over(database):
    def take(cost, now):
        return database.booked(quota_queries.take, "a/queries", cost, 10, now, MINUTE)

    assert take(6, NOW) == (True, 6, NOW + MINUTE)
    assert take(5, NOW + MINUTE / 2) == (False, 6, NOW + MINUTE)
    assert take(4, NOW + MINUTE / 2) == (True, 10, NOW + MINUTE)
    assert take(10, NOW + MINUTE) == (True, 10, NOW + 2 * MINUTE)
    database.booked(quota_queries.forget, NOW + 3 * MINUTE, MINUTE)
    assert take(1, NOW + 3 * MINUTE)[1] == 1


def test_replicas_together_give_no_more_than_the_quota(database):
    async def storm(first):
        second = Database(database.url)
        counters = [SharedCounter(first), SharedCounter(second)]
        taken = await asyncio.gather(*(counters[n % 2].take("k", 3, 50) for n in range(60)))
        await second.dispose()
        return sum(done for done, _, _ in taken)

    assert database.run(storm) == 16  # times 3 is 48; another 3 would be beyond


def test_without_the_database_each_replica_counts_alone(database, monkeypatch):
    def gone(self):
        raise DatabaseUnavailable("gone")

    async def take(_):
        counter = SharedCounter(database.database)
        return [(await counter.take("k", 1, 2))[0] for _ in range(3)]

    monkeypatch.setattr(Database, "begin", gone)
    assert database.run(take) == [True, True, False]


@pytest.mark.parametrize("cost", [1, 50])
def test_counting_in_memory_ends_with_the_minute(cost, monkeypatch):
    import limits.aio.storage.memory as storage

    from byline_service.accounts.quotas import MemoryCounter

    moment = [1000.0]

    async def take():
        counter = MemoryCounter()
        first = [(await counter.take("k", cost, 50))[0] for _ in range(50 // cost + 1)]
        moment[0] += 61
        return first, (await counter.take("k", cost, 50))[0]

    monkeypatch.setattr(storage.time, "time", lambda: moment[0])
    first, after = asyncio.run(take())
    assert first == [True] * (50 // cost) + [False]
    assert after


def test_a_clock_that_is_put_back_locks_nobody_out(monkeypatch):
    import limits.aio.storage.memory as storage

    from byline_service.accounts.quotas import MemoryCounter

    moment = [1e9]

    async def take():
        counter = MemoryCounter()
        first = [(await counter.take("k", 1, 2))[0] for _ in range(3)]
        moment[0] -= 3600
        after = [await counter.take("k", 1, 2) for _ in range(3)]
        return first, [taken for taken, _, _ in after], max(seconds for _, _, seconds in after)

    monkeypatch.setattr(storage.time, "time", lambda: moment[0])
    first, after, longest = asyncio.run(take())
    assert first == after == [True, True, False], "a new window, with the same limit"
    assert longest <= 60


def test_replicas_windows_in_the_future_begin_anew(database):
    def take(cost, now):
        return database.booked(quota_queries.take, "a/queries", cost, 10, now, MINUTE)

    assert take(10, NOW) == (True, 10, NOW + MINUTE)
    assert take(1, NOW - MINUTE / 2)[0] is False, "another replica, whose clock is half a minute behind"
    hour_before = NOW - 60 * MINUTE
    assert take(10, hour_before) == (True, 10, hour_before + MINUTE)
    assert take(1, hour_before)[0] is False
