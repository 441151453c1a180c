"""Consents in memory: read anew after some seconds, and kept while the database does not answer."""

import asyncio

import pytest

from byline.api.holds import Subject
from byline.errors import DatabaseUnavailable
from byline_service.attributions.withheld import FRESH_SECONDS, ConsentCache, withheld_now
from byline_service.compensation.restrictions import Restriction

NOW = "2026-03-10T00:00:00.000000Z"


def prohibited(work, **more):
    subject = Subject(owner="ash", index="digits", work=work)
    return Restriction(id=f"{work}", kind="prohibited", subject=subject, **more)


def test_works_are_withheld_from_their_time_on():
    found = withheld_now(
        [
            prohibited("1", since=NOW),
            prohibited("2", since="2026-03-11T00:00:00.000000Z"),
            prohibited("3", until=NOW),
            prohibited("4", version="a"),
            prohibited("5", version="b"),
            prohibited(None),
        ],
        "a",
        NOW,
    )
    assert (found.works, found.owners) == ({"1", "4"}, {"ash"})


def test_the_last_consents_hold_while_the_database_is_away(monkeypatch):
    cache, seconds, down = ConsentCache(database=None, clock=lambda: seconds[0]), [0.0], [False]

    async def read(index):
        if down[0]:
            raise DatabaseUnavailable("away")
        return [prohibited(str(seconds[0]))]

    monkeypatch.setattr(cache, "_read", read)

    def works(index="digits"):
        return set(asyncio.run(cache.withheld(index, "a")).works)

    assert works() == {"0.0"}
    seconds[0] = FRESH_SECONDS
    assert works() == {"0.0"}
    seconds[0] = FRESH_SECONDS + 1
    assert works() == {"6.0"}
    seconds[0], down[0] = 20.0, True
    assert works() == {"6.0"}
    with pytest.raises(DatabaseUnavailable):
        works("shapes")
