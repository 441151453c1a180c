"""Lines of the audit log that exist are chained, and new ones go on from them."""

from sqlalchemy import text

from byline_service.accounts import audit
from byline_service.accounts.audit import OPERATOR
from byline_service.database import migrate
from byline_service.ledger.verify import verify
from tests.service.database.sample_rows import insert_samples

FIRST, BEFORE = "0001_accounts", "0007_sessions"


def with_lines(used):
    used.run(lambda database: migrate.upgrade(database, FIRST))
    used.run(lambda database: insert_samples(database, FIRST))
    used.run(lambda database: migrate.upgrade(database, BEFORE))


def test_lines_are_chained_by_the_upgrade(empty_database):
    with_lines(empty_database)
    empty_database.run(migrate.upgrade)
    empty_database.booked(audit.record, OPERATOR, "x", "y")

    def found():
        return [each for each in empty_database.run(verify).findings if each.where.startswith("audit")]

    assert found() == []
    empty_database.run(lambda database: migrate.downgrade(database, BEFORE))
    empty_database.run(migrate.upgrade)
    assert found() == []
    assert empty_database.run(verify).audit == 2


def test_the_upgrade_keeps_lines_as_they_are(empty_database):
    async def lines(database):
        async with database.read() as reading:
            shown = text("SELECT id, key_id, person, action, subject FROM audit ORDER BY id")
            return [tuple(row) for row in await reading.execute(shown)]

    with_lines(empty_database)
    before = empty_database.run(lines)
    assert before
    empty_database.run(migrate.upgrade)
    assert empty_database.run(lines) == before
