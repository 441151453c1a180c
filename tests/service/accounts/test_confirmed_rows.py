"""Rows that the database confirmed: trusted for a while, and longer while it does not answer."""

import asyncio

import pytest

from byline.errors import DatabaseUnavailable
from byline_service.accounts.confirmed_rows import REMEMBERED, ConfirmedRows


class Table:
    """A table that can be away."""

    def __init__(self, **rows):
        self.rows, self.asked, self.away = rows, 0, False

    async def find(self, row_id):
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("away")
        return self.rows.get(row_id)


def test_a_fresh_row_is_not_asked_for_and_a_missing_one_always():
    async def ask():
        table = Table(a=1)
        rows = ConfirmedRows(table.find, 60.0, 60.0)
        assert [await rows.find("a") for _ in range(3)] == [1, 1, 1]
        assert table.asked == 1
        assert [await rows.find("b") for _ in range(3)] == [None] * 3
        assert table.asked == 4
        table.rows["a"] = 2
        rows.forget("a")
        assert await rows.find("a") == 2

    asyncio.run(ask())


@pytest.mark.parametrize("grace", [0.0, 60.0])
def test_a_known_row_is_trusted_while_the_database_is_away(grace):
    async def ask():
        table = Table(a=1)
        rows = ConfirmedRows(table.find, 0.0, grace)
        assert await rows.find("a") == 1
        table.away = True
        if grace:
            assert await rows.find("a") == 1
        else:
            with pytest.raises(DatabaseUnavailable):
                await rows.find("a")
        with pytest.raises(DatabaseUnavailable):
            await rows.find("b")

    asyncio.run(ask())


def test_memory_is_bounded():
    async def ask():
        rows = ConfirmedRows(Table(**{str(each): each for each in range(REMEMBERED + 10)}).find, 60.0, 60.0)
        for each in range(REMEMBERED + 10):
            assert await rows.find(str(each)) == each
        assert len(rows._remembered) == REMEMBERED

    asyncio.run(ask())
