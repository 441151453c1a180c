"""Lines of before have nothing held, there and back; and the database itself keeps them."""

import pytest
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_lines_of_before_have_nothing_held(empty_database):
    empty_database.run(lambda database: migrate.upgrade(database, "0003_compensation"))
    empty_database.run(lambda database: insert_samples(database, "0003_compensation"))
    empty_database.run(lambda database: migrate.upgrade(database, "0009_holds"))
    empty_database.run(lambda database: insert_samples(database, "0009_holds"))

    def rows(columns):
        async def read(transaction):
            found = await transaction.exec_driver_sql(f"SELECT {columns} FROM statement_lines")
            return [tuple(row) for row in found]

        return empty_database.booked(read)

    assert rows("escrow, held") == [(1, 0)]
    for statement in (
        "UPDATE statement_lines SET held = 1",
        "DELETE FROM hold_ends",
        "UPDATE holds SET owner = 'x'",
    ):

        async def change(transaction, statement=statement):
            await transaction.exec_driver_sql(statement)

        with pytest.raises(DBAPIError, match="append-only"):
            empty_database.booked(change)
    empty_database.run(lambda database: migrate.downgrade(database, "0008_audit_chain"))
    assert rows("escrow") == [(1,)]
