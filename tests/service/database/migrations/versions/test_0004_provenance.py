"""Stored answers become those of persons, and quarantined versions unservable, there and back."""

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_answers_and_states_change_there_and_back(empty_database):
    empty_database.run(lambda database: migrate.upgrade(database, "0003_compensation"))
    empty_database.run(lambda database: insert_samples(database, "0001_accounts"))
    empty_database.run(lambda database: insert_samples(database, "0002_versions"))

    def rows(words):
        async def read(transaction):
            return [tuple(row) for row in await transaction.exec_driver_sql(words)]

        return empty_database.booked(read)

    async def quarantine(transaction):
        await transaction.exec_driver_sql("UPDATE index_versions SET state = 'quarantined'")

    empty_database.booked(quarantine)
    persons = dict(rows("SELECT id, person FROM keys"))
    before = rows("SELECT key_id, route, key FROM idempotency")
    assert before
    empty_database.run(lambda database: migrate.upgrade(database, "0004_provenance"))
    after = rows("SELECT person, route, key FROM idempotency")
    assert after == [(persons.get(key_id, key_id), route, key) for key_id, route, key in before]
    assert {state for (state,) in rows("SELECT state FROM index_versions")} == {"unservable"}
    empty_database.run(lambda database: migrate.downgrade(database, "0003_compensation"))
    assert rows("SELECT key_id FROM idempotency") == []
    assert {state for (state,) in rows("SELECT state FROM index_versions")} == {"quarantined"}
