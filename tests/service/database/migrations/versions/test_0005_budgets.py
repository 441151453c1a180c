"""Claims of before keep their policy, as a group of its own, there and back; and the database itself keeps them."""

import pytest
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_claims_become_claims_of_groups(empty_database):
    empty_database.run(lambda database: migrate.upgrade(database, "0003_compensation"))
    empty_database.run(lambda database: insert_samples(database, "0003_compensation"))
    empty_database.run(lambda database: migrate.upgrade(database, "0005_budgets"))

    def rows(columns):
        async def read(transaction):
            found = await transaction.exec_driver_sql(f"SELECT {columns} FROM event_claims")
            return [tuple(row) for row in found]

        return empty_database.booked(read)

    assert rows("policy_group, policy, event_id, claim") == [("p", "p", "e" * 32, 0)]
    for statement in ("UPDATE event_claims SET claim = 2", "UPDATE statement_runs SET period = 'x'"):

        async def change(transaction, statement=statement):
            await transaction.exec_driver_sql(statement)

        with pytest.raises(DBAPIError, match="append-only"):
            empty_database.booked(change)
    empty_database.run(lambda database: migrate.downgrade(database, "0003_compensation"))
    assert rows("policy, event_id, claim") == [("p", "e" * 32, 0)]
