"""Consents are only ever added."""

import pytest
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_the_database_keeps_consents(empty_database):
    empty_database.run(lambda database: migrate.upgrade(database, "0003_compensation"))
    empty_database.run(lambda database: insert_samples(database, "0003_compensation"))
    empty_database.run(lambda database: migrate.upgrade(database, "0013_consents"))
    empty_database.run(lambda database: insert_samples(database, "0013_consents"))

    async def change(transaction):
        await transaction.exec_driver_sql("UPDATE consents SET status = 'allowed'")

    with pytest.raises(DBAPIError, match="append-only"):
        empty_database.booked(change)
    empty_database.run(lambda database: migrate.downgrade(database, "0011_parties"))
