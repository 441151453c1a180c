"""Lines of the audit log: numbered, chained, and read in order or from the newest."""

import asyncio

from byline_service.accounts import audit
from byline_service.accounts.audit import GENESIS, OPERATOR, audit_hash


def _lines(books):
    async def read(transaction):
        return [dict(line) async for part in audit.rows(transaction) for line in part]

    return books.used.booked(read)


def test_each_line_is_chained_to_the_one_before(books):
    before = len(_lines(books))
    for number in range(3):
        books.used.booked(audit.record, OPERATOR, "keys.create", f"key {number}", {"scopes": ["read"]})
    lines = _lines(books)
    assert [line["id"] for line in lines] == list(range(1, before + 4))
    previous = GENESIS
    for line in lines:
        assert line["hash"] == audit_hash({n: v for n, v in line.items() if n != "hash"}, previous)
        previous = line["hash"]


def test_the_newest_lines_come_first(books):
    for number in range(3):
        books.used.booked(audit.record, OPERATOR, "keys.create", f"key {number}")
    newest = books.used.booked(audit.page, None, 2)
    assert [line["subject"] for line in newest] == ["key 2", "key 1"]
    older = books.used.booked(audit.page, newest[-1]["id"], 1)
    assert [line["subject"] for line in older] == ["key 0"]


def test_writers_at_the_same_time_make_one_chain(database):
    async def many(used):
        async def write(number):
            async with used.begin() as transaction:
                await audit.record(transaction, OPERATOR, "x", str(number), {"number": number})

        await asyncio.gather(*(write(number) for number in range(20)))
        async with used.read() as reading:
            return [dict(row) async for part in audit.rows(reading) for row in part]

    lines, previous = database.run(many), GENESIS
    assert [line["id"] for line in lines] == list(range(1, 21))
    assert {line["subject"] for line in lines} == {str(number) for number in range(20)}
    for line in lines:
        previous = audit_hash(line, previous)
        assert line["hash"] == previous
