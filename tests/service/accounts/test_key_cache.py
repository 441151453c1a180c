"""A key whose time to be asked again has come is asked for once, however many of its clients come."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from byline.errors import DatabaseUnavailable, Unauthorized
from byline_service.accounts import key_queries
from byline_service.accounts.key_cache import KeyCache
from byline_service.accounts.keys import new_key
from byline_service.accounts.secret import Secrets


class Absent:
    """A database without a row."""

    @asynccontextmanager
    async def read(self):
        yield None


def test_many_who_ask_at_once_read_the_database_once(monkeypatch):
    asked = []

    async def find(_, key_id):
        asked.append(key_id)
        await asyncio.sleep(0.01)

    monkeypatch.setattr(key_queries, "find", find)
    text = new_key().text

    async def ask():
        accounts = KeyCache(Absent(), Secrets(b"secret"))
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(accounts.by_key(text) for _ in range(20)), return_exceptions=True
            )
            assert {type(each) for each in outcomes} == {Unauthorized}

    asyncio.run(ask())
    assert len(asked) == 2


def test_all_who_wait_are_told_that_the_database_does_not_answer(monkeypatch):
    async def find(_, key_id):
        del key_id
        await asyncio.sleep(0.01)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(key_queries, "find", find)

    async def ask():
        accounts = KeyCache(Absent(), Secrets(b"secret"))
        asking = [asyncio.ensure_future(accounts.by_key(new_key().text)) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(each) for each in outcomes[1:]] == [DatabaseUnavailable] * 2
        assert not accounts.keys.asking

    asyncio.run(ask())
    with pytest.raises(Unauthorized):
        asyncio.run(KeyCache(Absent(), Secrets(b"secret")).by_key("none"))
