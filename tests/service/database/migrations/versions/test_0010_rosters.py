"""Rosters are only ever added."""

import pytest
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_the_database_keeps_rosters(empty_database):
    empty_database.run(lambda database: migrate.upgrade(database, "0003_compensation"))
    empty_database.run(lambda database: insert_samples(database, "0003_compensation"))
    empty_database.run(lambda database: migrate.upgrade(database, "0010_rosters"))
    empty_database.run(lambda database: insert_samples(database, "0010_rosters"))

    async def change(transaction):
        await transaction.exec_driver_sql("UPDATE rosters SET owners = 4")

    with pytest.raises(DBAPIError, match="append-only"):
        empty_database.booked(change)
    empty_database.run(lambda database: migrate.downgrade(database, "0009_holds"))
    empty_database.run(lambda database: migrate.upgrade(database, "0010_rosters"))
