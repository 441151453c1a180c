"""Values that a database cannot hold are the caller's mistake, wherever they slipped through."""

import pytest
from sqlalchemy import BigInteger, String, bindparam, select

from byline.errors import InvalidQuery


async def looked_up(reading, value, kind):
    return (await reading.execute(select(bindparam("value", value, kind)))).scalar_one()


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 1 << 200])
def test_integers_of_more_than_64_bits(database, value):
    with pytest.raises(InvalidQuery, match="64 bits"):
        database.booked(looked_up, value, BigInteger())


def test_zero_characters(database):
    if database.database.is_sqlite:
        assert database.booked(looked_up, "a\0b", String()) == "a\0b"
        return
    with pytest.raises(InvalidQuery, match="zero characters"):
        database.booked(looked_up, "a\0b", String())
