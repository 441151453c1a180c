"""Stored answers move from keys to persons, quarantined versions become unservable, and signing keys stay."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import SAMPLES, insert_samples

BEFORE, AFTER = "0003_compensation", "0004_provenance"


def rows(used, statement):
    async def within(database):
        async with database.read() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]

    return used.run(within)


def test_answers_belong_to_persons_and_states_have_new_names(empty_database):
    for revision in ("0001_accounts", "0002_versions", BEFORE):
        empty_database.run(lambda database, to=revision: migrate.upgrade(database, to))
        empty_database.run(lambda database, at=revision: insert_samples(database, at))

    async def quarantine(transaction):
        await transaction.execute(text("UPDATE index_versions SET state = 'quarantined'"))

    empty_database.booked(quarantine)
    empty_database.run(lambda database: migrate.upgrade(database, AFTER))
    assert rows(empty_database, "SELECT person, route, key FROM idempotency") == [("ada", "POST /x", "1")]
    assert {state for (state,) in rows(empty_database, "SELECT state FROM index_versions")} == {"unservable"}
    empty_database.run(lambda database: migrate.downgrade(database, BEFORE))
    assert rows(empty_database, "SELECT * FROM idempotency") == []
    assert {state for (state,) in rows(empty_database, "SELECT state FROM index_versions")} == {"quarantined"}


@pytest.mark.parametrize(
    "statement", ["UPDATE signing_keys SET public_key = 'x'", "DELETE FROM signing_keys"]
)
def test_the_database_itself_keeps_the_signing_keys(empty_database, statement):
    empty_database.run(lambda database: migrate.upgrade(database, BEFORE))
    empty_database.run(lambda database: insert_samples(database, BEFORE))
    empty_database.run(lambda database: migrate.upgrade(database, AFTER))
    empty_database.run(lambda database: insert_samples(database, AFTER))

    async def change(transaction):
        await transaction.execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        empty_database.booked(change)
    assert len(rows(empty_database, "SELECT * FROM signing_keys")) == len(SAMPLES[AFTER]["signing_keys"])
